#pragma once
#include <stddef.h>
#include <stdint.h>

// One input; what it returns is 0.
typedef int (*cfuzzer_input)(const uint8_t *bytes, size_t count);

// Runs libFuzzer with these arguments until it ends. Returns its status, and -1 where the program
// has been linked without it.
int cfuzzer_run(int argc, char **argv, cfuzzer_input input);

// libFuzzer's own change of the `count` bytes, in place, to at most `limit`; returns how many they
// are then. Only while `cfuzzer_run` runs.
size_t cfuzzer_mutate(uint8_t *bytes, size_t count, size_t limit);

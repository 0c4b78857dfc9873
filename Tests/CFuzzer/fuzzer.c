#include "CFuzzer.h"

// Weak, so that the program links without libFuzzer too.
extern int LLVMFuzzerRunDriver(int *argc, char ***argv, cfuzzer_input input)
    __attribute__((weak));
extern size_t LLVMFuzzerMutate(uint8_t *bytes, size_t count, size_t limit) __attribute__((weak));

int cfuzzer_run(int argc, char **argv, cfuzzer_input input) {
  return LLVMFuzzerRunDriver ? LLVMFuzzerRunDriver(&argc, &argv, input) : -1;
}

size_t cfuzzer_mutate(uint8_t *bytes, size_t count, size_t limit) {
  return LLVMFuzzerMutate ? LLVMFuzzerMutate(bytes, count, limit) : count;
}

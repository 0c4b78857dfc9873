#ifndef CSPAWN_H
#define CSPAWN_H

/// Starts the program `words[0]`, looked for in $PATH, with the arguments `words` and the variables
/// `variables`, in `directory` unless that is NULL.
///
/// Its standard streams are copies of the three `streams`; -1 stands for /dev/null. It gets no other
/// descriptor, blocks no signal and ignores none. Returns its process number, or -1 and errno.
int cs_spawn(char *const *words, char *const *variables, const char *directory, const int streams[3]);

#endif

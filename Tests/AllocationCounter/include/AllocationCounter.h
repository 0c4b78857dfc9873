#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H

// A library to be loaded into a program (LD_PRELOAD), which counts how often it asks for memory: each
// call of malloc, calloc, realloc and their aligned kin. The number is in the first eight bytes of the
// file that ALLOCATION_COUNTER_OUTPUT names, in the machine's byte order, at any moment.

#endif

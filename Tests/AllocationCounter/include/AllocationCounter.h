#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H

// A library to be loaded into a program (LD_PRELOAD), which counts what it asks the C library's
// allocator for. The file that ALLOCATION_COUNTER_OUTPUT names holds two numbers of eight bytes, in the
// machine's byte order, at any moment: how often it has asked (malloc, calloc, realloc and their aligned
// kin), and how many bytes it holds that it has not given back.

#endif

#ifndef CJSON_H
#define CJSON_H

// A narrow face of json-c: one bounded, strict parse, and a walk over the tree it made. No macro
// and no type of json-c shows through, so that the Swift side sees plain functions.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// A node of a parsed tree. JSON's null has no node: it is NULL wherever a value may stand.
typedef struct cjson_value cjson_value;

/// A member of an object, in the order of the text.
typedef struct cjson_member cjson_member;

/// What a node is.
typedef enum __attribute__((enum_extensibility(closed))) {
  cjson_type_null,
  cjson_type_bool,
  cjson_type_integer,
  cjson_type_double,
  cjson_type_string,
  cjson_type_array,
  cjson_type_object,
} cjson_type;

/// Parses exactly one value in `length` bytes (at most INT_MAX) with json-c's strict mode and at
/// most `depth` open containers. True means that `*value` holds the tree, which the caller
/// releases; false means that json-c refused the text or had no memory.
bool cjson_parse(
    const char *bytes, size_t length, int depth, cjson_value *_Nullable *_Nonnull value);

/// Frees a tree that `cjson_parse` made.
void cjson_release(cjson_value *_Nullable value);

/// What `value` is.
cjson_type cjson_get_type(const cjson_value *_Nullable value);

/// The value of a bool node.
bool cjson_get_bool(const cjson_value *value);

/// The value of an integer node; `*above_int64` tells that it stands in `*unsigned_value` because
/// it is larger than INT64_MAX.
int64_t cjson_get_integer(const cjson_value *value, uint64_t *unsigned_value, bool *above_int64);

/// The value of a double node.
double cjson_get_double(const cjson_value *value);

/// The UTF-8 bytes of a string node, owned by the node.
const char *cjson_get_string(const cjson_value *value, size_t *length);

/// Elements of an array node.
size_t cjson_count(const cjson_value *array);

/// Element `index` of an array node, owned by the array.
cjson_value *_Nullable cjson_element(const cjson_value *array, size_t index);

/// The first member of an object node, or NULL.
const cjson_member *_Nullable cjson_first_member(const cjson_value *object);

/// The member after `member`, or NULL.
const cjson_member *_Nullable cjson_next_member(const cjson_member *member);

/// The member's name as a C string, owned by the object.
const char *cjson_member_name(const cjson_member *member);

/// The member's value, owned by the object.
cjson_value *_Nullable cjson_member_value(const cjson_member *member);

#pragma clang assume_nonnull end

#endif

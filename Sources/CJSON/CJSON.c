#include "CJSON.h"

#include <json-c/json.h>
#include <limits.h>

static struct json_object *object_of(const cjson_value *value) {
  return (struct json_object *)value;
}

static struct lh_entry *entry_of(const cjson_member *member) {
  return (struct lh_entry *)member;
}

bool cjson_parse(const char *bytes, size_t length, int depth, cjson_value **value) {
  *value = NULL;
  if (length > INT_MAX) return false;
  // json-c counts a scalar as one level more than the containers around it.
  struct json_tokener *tokener = json_tokener_new_ex(depth + 1);
  if (tokener == NULL) return false;
  json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  struct json_object *tree = json_tokener_parse_ex(tokener, bytes, (int)length);
  enum json_tokener_error error = json_tokener_get_error(tokener);
  bool whole = json_tokener_get_parse_end(tokener) == length;
  if (error == json_tokener_continue) {
    // A number or a word at the top level could still go on: only a NUL ends it.
    tree = json_tokener_parse_ex(tokener, "", 1);
    error = json_tokener_get_error(tokener);
    whole = true;
  }
  json_tokener_free(tokener);
  if (error != json_tokener_success || !whole) {
    json_object_put(tree);
    return false;
  }
  *value = (cjson_value *)tree;
  return true;
}

void cjson_release(cjson_value *value) { json_object_put(object_of(value)); }

cjson_type cjson_get_type(const cjson_value *value) {
  switch (json_object_get_type(object_of(value))) {
  case json_type_null: return cjson_type_null;
  case json_type_boolean: return cjson_type_bool;
  case json_type_double: return cjson_type_double;
  case json_type_int: return cjson_type_integer;
  case json_type_object: return cjson_type_object;
  case json_type_array: return cjson_type_array;
  case json_type_string: return cjson_type_string;
  }
  return cjson_type_null;
}

bool cjson_get_bool(const cjson_value *value) { return json_object_get_boolean(object_of(value)); }

int64_t cjson_get_integer(const cjson_value *value, uint64_t *unsigned_value, bool *above_int64) {
  // json-c clamps: a negative value reads as 0 here, one above INT64_MAX as INT64_MAX below.
  *unsigned_value = json_object_get_uint64(object_of(value));
  *above_int64 = *unsigned_value > INT64_MAX;
  return json_object_get_int64(object_of(value));
}

double cjson_get_double(const cjson_value *value) {
  return json_object_get_double(object_of(value));
}

const char *cjson_get_string(const cjson_value *value, size_t *length) {
  *length = (size_t)json_object_get_string_len(object_of(value));
  return json_object_get_string(object_of(value));
}

size_t cjson_count(const cjson_value *array) { return json_object_array_length(object_of(array)); }

cjson_value *cjson_element(const cjson_value *array, size_t index) {
  return (cjson_value *)json_object_array_get_idx(object_of(array), index);
}

const cjson_member *cjson_first_member(const cjson_value *object) {
  return (const cjson_member *)json_object_get_object(object_of(object))->head;
}

const cjson_member *cjson_next_member(const cjson_member *member) {
  return (const cjson_member *)entry_of(member)->next;
}

const char *cjson_member_name(const cjson_member *member) {
  return (const char *)lh_entry_k(entry_of(member));
}

cjson_value *cjson_member_value(const cjson_member *member) {
  return (cjson_value *)lh_entry_v(entry_of(member));
}

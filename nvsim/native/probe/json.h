/* JSON on a stdio stream, ASCII only.  Members and elements are separated by the caller's cursor: each json_* call that
 * starts a value first writes the comma it needs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct json {
    FILE *out;
    bool comma; /* a value has been written at this level, the next one needs a comma */
};

void json_open(struct json *json, char bracket);
void json_close(struct json *json, char bracket);
void json_key(struct json *json, const char *key);
void json_key_bytes(struct json *json, const char *key, size_t length);
void json_bytes(struct json *json, const char *bytes, size_t length);
void json_string(struct json *json, const char *text);
void json_number(struct json *json, long long value);
void json_bool(struct json *json, bool value);
void json_null(struct json *json);
void json_raw(struct json *json, const char *text, size_t length);

void json_member(struct json *json, const char *key, const char *text);
void json_member_number(struct json *json, const char *key, long long value);

bool is_utf8(const char *bytes, size_t length);

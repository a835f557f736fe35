#include "json.h"

#include <string.h>

static void separate(struct json *json)
{
    if (json->comma)
        fputc(',', json->out);
    json->comma = true;
}

void json_open(struct json *json, char bracket)
{
    separate(json);
    fputc(bracket, json->out);
    json->comma = false;
}

void json_close(struct json *json, char bracket)
{
    fputc(bracket, json->out);
    json->comma = true;
}

/* Decodes one character at `s`; its length in bytes, or 0 for bytes that are not UTF-8 (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static size_t decode(const unsigned char *s, size_t left, unsigned *point)
{
    static const unsigned lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : s[0] >> 5 == 0x06 ? 2 : s[0] >> 4 == 0x0e ? 3 : s[0] >> 3 == 0x1e ? 4 : 0;

    if (!length || length > left)
        return 0;
    *point = length == 1 ? s[0] : s[0] & (0x7f >> length);
    for (size_t i = 1; i < length; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        *point = *point << 6 | (s[i] & 0x3f);
    }
    if (*point < lowest[length] || *point > 0x10ffff || (*point >= 0xd800 && *point <= 0xdfff))
        return 0;
    return length;
}

bool is_utf8(const char *bytes, size_t length)
{
    unsigned point;
    for (size_t i = 0, step; i < length; i += step)
        if (!(step = decode((const unsigned char *)bytes + i, length - i, &point)))
            return false;
    return true;
}

static void put_point(FILE *out, unsigned point)
{
    if (point == '"' || point == '\\')
        fprintf(out, "\\%c", (char)point);
    else if (point >= 0x20 && point < 0x7f)
        fputc((int)point, out);
    else if (point < 0x10000)
        fprintf(out, "\\u%04x", point);
    else
        fprintf(out, "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff));
}

/* A byte that is not UTF-8 becomes the lone surrogate U+DC00 + byte, which Python's os.fsencode turns back into it. */
static void put_text(FILE *out, const char *bytes, size_t length)
{
    const unsigned char *s = (const unsigned char *)bytes;
    fputc('"', out);
    for (size_t i = 0; i < length;) {
        unsigned point;
        size_t step = decode(s + i, length - i, &point);
        put_point(out, step ? point : 0xdc00u + s[i]);
        i += step ? step : 1;
    }
    fputc('"', out);
}

void json_key_bytes(struct json *json, const char *key, size_t length)
{
    separate(json);
    put_text(json->out, key, length);
    fputc(':', json->out);
    json->comma = false;
}

void json_key(struct json *json, const char *key)
{
    json_key_bytes(json, key, strlen(key));
}

void json_bytes(struct json *json, const char *bytes, size_t length)
{
    separate(json);
    put_text(json->out, bytes, length);
}

void json_string(struct json *json, const char *text)
{
    json_bytes(json, text, strlen(text));
}

void json_number(struct json *json, long long value)
{
    separate(json);
    fprintf(json->out, "%lld", value);
}

void json_bool(struct json *json, bool value)
{
    separate(json);
    fputs(value ? "true" : "false", json->out);
}

void json_null(struct json *json)
{
    separate(json);
    fputs("null", json->out);
}

/* `text` is JSON already. */
void json_raw(struct json *json, const char *text, size_t length)
{
    separate(json);
    fwrite(text, 1, length, json->out);
}

void json_member(struct json *json, const char *key, const char *text)
{
    json_key(json, key);
    if (text)
        json_string(json, text);
    else
        json_null(json);
}

void json_member_number(struct json *json, const char *key, long long value)
{
    json_key(json, key);
    json_number(json, value);
}

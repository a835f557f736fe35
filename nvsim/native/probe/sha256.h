/* SHA-256 (FIPS 180-4) of a byte string, as 64 lower-case hexadecimal digits and a NUL. */
#pragma once

#include <stddef.h>

void sha256_hex(const void *bytes, size_t length, char hex[65]);

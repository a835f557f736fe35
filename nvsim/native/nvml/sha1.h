/* SHA-1 of short texts: what a name-based UUID (RFC 4122, version 5) is made from. */
#ifndef NVSIM_SHA1_H
#define NVSIM_SHA1_H

#include <stddef.h>
#include <stdint.h>

enum { SHA1_SIZE = 20, SHA1_MOST = 55 };

/* At most SHA1_MOST bytes: one block. */
void nvsim_sha1(const unsigned char *data, size_t length, unsigned char digest[SHA1_SIZE])
    __attribute__((visibility("hidden")));

#endif

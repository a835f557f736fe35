/* SHA-1 (FIPS 180-4, sections 5.1.1, 5.3.1 and 6.1.2) of a message that fits one block. */
#include <string.h>

#include "sha1.h"

static uint32_t rotated(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

static uint32_t mixed(unsigned t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20)
        return (b & c) | (~b & d);
    if (t < 40 || t >= 60)
        return b ^ c ^ d;
    return (b & c) | (b & d) | (c & d);
}

/* The message schedule of the padded block. */
static void schedule(const unsigned char *data, size_t length, uint32_t words[80])
{
    unsigned char block[64] = {0};
    memcpy(block, data, length);
    block[length] = 0x80;
    block[62] = (unsigned char)(length * 8 >> 8);
    block[63] = (unsigned char)(length * 8);
    for (unsigned t = 0; t < 16; t++)
        words[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 | (uint32_t)block[4 * t + 2] << 8 |
                   block[4 * t + 3];
    for (unsigned t = 16; t < 80; t++)
        words[t] = rotated(words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16], 1);
}

void nvsim_sha1(const unsigned char *data, size_t length, unsigned char digest[SHA1_SIZE])
{
    static const uint32_t constants[] = {0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6};
    static const uint32_t initial[] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint32_t words[80], state[5];
    schedule(data, length <= SHA1_MOST ? length : SHA1_MOST, words);
    memcpy(state, initial, sizeof state);
    for (unsigned t = 0; t < 80; t++) {
        uint32_t next = rotated(state[0], 5) + mixed(t, state[1], state[2], state[3]) + state[4] + words[t] +
                        constants[t / 20];
        state[4] = state[3];
        state[3] = state[2];
        state[2] = rotated(state[1], 30);
        state[1] = state[0];
        state[0] = next;
    }
    for (unsigned i = 0; i < SHA1_SIZE; i++)
        digest[i] = (unsigned char)((initial[i / 4] + state[i / 4]) >> 8 * (3 - i % 4));
}

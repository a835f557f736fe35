/* Enumeration: which GPUs are this process's devices, and in which order.
 *
 * CUDA_DEVICE_ORDER=PCI_BUS_ID numbers GPUs by their PCI address; otherwise the fastest comes first, and equals follow
 * by address.  CUDA_VISIBLE_DEVICES then chooses: numbers in that order, or (beginnings of) UUIDs, up to the first
 * entry that is none or was there before.
 *
 * A GPU in MIG mode is no device: in its place stands the first of its MIG devices that the process may use.  A process
 * has one MIG device at most, and beside it no other device (MIG user guide, "CUDA Device Enumeration"). */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "board/host.h"
#include "visible.h"

/* What a process could choose from. */
struct candidates {
    unsigned count;
    struct device list[MOST_DEVICES];
};

static const struct nvsim_gpu *gpu_in(const struct candidates *all, unsigned i)
{
    return copy_of(&nvsim_board.slots[all->list[i].place]);
}

/* Whether this process may use a MIG device. */
static bool allowed(const struct nvsim_gpu *gpu, const struct mig_device *mig)
{
    return mig_instance_allowed(LOAD(gpu->minor), mig->gi, mig->ci);
}

static struct device as_device(uint8_t place, const struct mig_device *mig)
{
    return (struct device){.place = place, .slot = (uint8_t)mig->slot, .serial = mig->serial};
}

/* What stands for a GPU: itself, the first of its MIG devices, or nothing. */
static bool stands_for(uint8_t place, struct device *device)
{
    const struct nvsim_gpu *gpu = copy_of(&nvsim_board.slots[place]);
    struct mig_device migs[MIG_SLOTS];
    if (LOAD(gpu->fault))
        return false;
    *device = (struct device){.place = place, .slot = MIG_NONE};
    if (LOAD(gpu->mig_mode) != 1)
        return true;
    for (unsigned i = 0, count = mig_devices(gpu, migs); i < count; i++) {
        *device = as_device(place, &migs[i]);
        if (allowed(gpu, &migs[i]))
            return true;
    }
    return false;
}

static void collect(struct candidates *all)
{
    uint8_t places[NVSIM_BOARD_CAPACITY];
    unsigned present = nvsim_find_gpus(places);
    all->count = 0;
    for (unsigned i = 0; i < present; i++)
        all->count += stands_for(places[i], &all->list[all->count]);
}

static uint64_t speed(const struct nvsim_gpu *gpu)
{
    return gpu->clock_max_sm == NVSIM_ABSENT_U32 ? gpu->cuda_cores : (uint64_t)gpu->cuda_cores * gpu->clock_max_sm;
}

static void sort_fastest_first(struct candidates *all)
{
    for (unsigned i = 1; i < all->count; i++) {
        struct device moving = all->list[i];
        uint64_t own = speed(gpu_in(all, i));
        unsigned to = i;
        for (; to && speed(gpu_in(all, to - 1)) < own; to--)
            all->list[to] = all->list[to - 1];
        all->list[to] = moving;
    }
}

/* Whether a word, which need not end, names a MIG device: by its UUID, or as drivers before 470 did, by the UUID of its
 * GPU and both ids. */
static bool names_mig(const struct nvsim_gpu *gpu, const struct mig_device *mig, const char *word, size_t length)
{
    char old[sizeof gpu->uuid + 32], now[sizeof gpu->ci_uuid[0] + 1] = "";
    snprintf(old, sizeof old, "MIG-%.*s/%u/%u", (int)sizeof gpu->uuid, gpu->uuid, mig->gi, mig->ci);
    READING(gpu)
        memcpy(now, gpu->ci_uuid[mig->slot], sizeof gpu->ci_uuid[0]);
    return (strlen(now) == length && !strncasecmp(now, word, length)) ||
           (strlen(old) == length && !strncasecmp(old, word, length));
}

static bool chosen_mig(const char *word, size_t length, struct device *found)
{
    uint8_t places[NVSIM_BOARD_CAPACITY];
    for (unsigned i = 0, present = nvsim_find_gpus(places); i < present; i++) {
        const struct nvsim_gpu *gpu = copy_of(&nvsim_board.slots[places[i]]);
        struct mig_device migs[MIG_SLOTS];
        for (unsigned n = 0, count = mig_devices(gpu, migs); n < count; n++) {
            *found = as_device(places[i], &migs[n]);
            if (names_mig(gpu, &migs[n], word, length))
                return !LOAD(gpu->fault) && allowed(gpu, &migs[n]);
        }
    }
    return false;
}

/* What a word of CUDA_VISIBLE_DEVICES stands for: a number, or the beginning of a UUID that begins no other. */
static bool chosen(const struct candidates *all, const char *word, size_t length, struct device *found)
{
    char *end = NULL;
    unsigned matches = 0;
    long number = strtol(word, &end, 10);
    if (end == word + length && length) {
        if (number < 0 || number >= (long)all->count)
            return false;
        *found = all->list[number];
        return true;
    }
    if (length > strlen("MIG-") && !strncasecmp(word, "MIG-", strlen("MIG-")))
        return chosen_mig(word, length, found);
    if (length <= strlen("GPU-") || strncasecmp(word, "GPU-", strlen("GPU-")))
        return false;
    for (unsigned i = 0; i < all->count; i++) {
        if (!strncasecmp(gpu_in(all, i)->uuid, word, length)) {
            *found = all->list[i];
            matches++;
        }
    }
    return matches == 1;
}

static bool is_among(const struct device *found, unsigned count, const struct device *one)
{
    for (unsigned i = 0; i < count; i++)
        if (found[i].place == one->place && found[i].slot == one->slot)
            return true;
    return false;
}

static unsigned choose(const struct candidates *all, const char *words, struct device found[MOST_DEVICES])
{
    unsigned count = 0;
    while (count < MOST_DEVICES) {
        words += strspn(words, " ");
        size_t length = strcspn(words, ", ");
        struct device one;
        if (!chosen(all, words, length, &one) || is_among(found, count, &one))
            break;
        found[count++] = one;
        words += length;
        words += strspn(words, " ");
        if (*words++ != ',')
            break;
    }
    return count;
}

/* The first MIG device alone, if there is one. */
static unsigned only_mig(struct device found[MOST_DEVICES], unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (found[i].slot != MIG_NONE) {
            found[0] = found[i];
            return 1;
        }
    }
    return count;
}

unsigned find_devices(struct device found[MOST_DEVICES])
{
    struct candidates all;
    const char *order = getenv("CUDA_DEVICE_ORDER"), *words = getenv("CUDA_VISIBLE_DEVICES");
    collect(&all);
    if (!order || strcmp(order, "PCI_BUS_ID"))
        sort_fastest_first(&all);
    if (words)
        return only_mig(found, choose(&all, words, found));
    memcpy(found, all.list, all.count * sizeof *found);
    return only_mig(found, all.count);
}

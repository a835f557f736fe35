/* libdxcore.so of a WSL 2 machine: which display adapters Windows has, and where the driver store of each lies.
 *
 * The adapters are those of the board.  Without /dev/dxg, which the real library asks, every call fails.  Layouts and
 * numbers are those of Microsoft's public documentation of D3DKMT; wchar_t has four bytes here.  Handles are never
 * dereferenced, and stay valid when they are closed. */
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include "board/host.h"

#define API __attribute__((visibility("default")))

/* NTSTATUS */
enum {
    DONE = 0,
    UNSUCCESSFUL = (int)0xC0000001,
    INVALID_HANDLE = (int)0xC0000008,
    INVALID_PARAMETER = (int)0xC000000D,
    BUFFER_TOO_SMALL = (int)0xC0000023,
    NOT_SUPPORTED = (int)0xC00000BB,
};
enum { DRIVER_VERSION = 13, REGISTRY = 48 };                    /* KMTQAITYPE_… */
enum { DRIVER_STORE_PATH = 2 };                                 /* D3DDDI_QUERYREGISTRY_… */
enum { REGISTRY_DONE, REGISTRY_OVERFLOW, REGISTRY_FAILED };     /* D3DDDI_QUERYREGISTRY_STATUS_… */
enum { FIRST_HANDLE = 0x40000000, HANDLE_STEP = 0x40, PATH = 192 };

struct luid {
    uint32_t low;
    int32_t high;
};

struct adapter_info {
    uint32_t handle;
    struct luid luid;
    uint32_t sources, present_move_regions_preferred;
};

struct enum_adapters2 {
    uint32_t count;
    struct adapter_info *adapters;
};

struct enum_adapters3 {
    uint64_t filter;
    uint32_t count;
    struct adapter_info *adapters;
};

struct query_adapter_info {
    uint32_t handle, type;
    void *data;
    uint32_t size;
};

struct query_registry {
    uint32_t type, flags;
    wchar_t name[260];
    uint32_t value_type, physical_adapter, size, status;
    union {
        uint64_t number;
        wchar_t text[1];
    } value;
};
_Static_assert(sizeof(struct adapter_info) == 20 && sizeof(struct enum_adapters2) == 16 &&
                   sizeof(struct enum_adapters3) == 24 && sizeof(struct query_adapter_info) == 24 &&
                   sizeof(struct query_registry) == 1072 && offsetof(struct query_registry, value) == 1064,
               "the layouts of the ABI");

static uint32_t adapter_count(void)
{
    uint32_t count = LOAD(nvsim_board.header.adapter_count);
    uint32_t most = sizeof nvsim_board.header.adapter_wddm / sizeof *nvsim_board.header.adapter_wddm;
    return count < most ? count : most;
}

/* Without an array: how many there are.  Too small an array: the same, and an error. */
static int list_adapters(uint32_t *count, struct adapter_info *adapters)
{
    uint32_t present = adapter_count(), room = *count;
    if (nvsim_node("dxg", -1))
        return UNSUCCESSFUL;
    *count = present;
    if (!adapters)
        return DONE;
    if (room < present)
        return BUFFER_TOO_SMALL;
    for (uint32_t i = 0; i < present; i++) {
        uint64_t luid = LOAD(nvsim_board.header.adapter_luid[i]);
        adapters[i] = (struct adapter_info){.handle = FIRST_HANDLE + HANDLE_STEP * i,
                                            .luid = {.low = (uint32_t)luid, .high = (int32_t)(luid >> 32)},
                                            .sources = 1};
    }
    return DONE;
}

API int D3DKMTEnumAdapters2(struct enum_adapters2 *list);
int D3DKMTEnumAdapters2(struct enum_adapters2 *list)
{
    return list ? list_adapters(&list->count, list->adapters) : INVALID_PARAMETER;
}

/* Every adapter of the board both computes and displays, so that no filter leaves one out. */
API int D3DKMTEnumAdapters3(struct enum_adapters3 *list);
int D3DKMTEnumAdapters3(struct enum_adapters3 *list)
{
    return list ? list_adapters(&list->count, list->adapters) : INVALID_PARAMETER;
}

/* The path with its final zero.  Too little room: the call succeeds, and its status asks for more. */
static int answer_registry(uint32_t index, struct query_registry *query, uint32_t size)
{
    wchar_t path[PATH] = L"";
    uint32_t length = 0;
    if (size < sizeof *query)
        return INVALID_PARAMETER;
    if (query->type != DRIVER_STORE_PATH) {
        query->status = REGISTRY_FAILED;
        return DONE;
    }
    while (length < PATH - 1 && nvsim_board.header.adapter_store[index][length]) {
        path[length] = (unsigned char)nvsim_board.header.adapter_store[index][length];
        length++;
    }
    uint32_t needed = (length + 1) * sizeof *path, room = size - offsetof(struct query_registry, value);
    query->status = query->size < needed || room < needed ? REGISTRY_OVERFLOW : REGISTRY_DONE;
    query->size = needed;
    if (query->status == REGISTRY_DONE)
        memcpy((char *)query + offsetof(struct query_registry, value), path, needed);
    return DONE;
}

/* The adapter of a handle; as large as the list for a handle of none. */
static uint32_t index_of(uint32_t handle)
{
    uint32_t place = handle - FIRST_HANDLE;
    return place % HANDLE_STEP || place / HANDLE_STEP > adapter_count() ? adapter_count() : place / HANDLE_STEP;
}

API int D3DKMTQueryAdapterInfo(const struct query_adapter_info *query);
int D3DKMTQueryAdapterInfo(const struct query_adapter_info *query)
{
    if (!query || !query->data)
        return INVALID_PARAMETER;
    uint32_t index = index_of(query->handle);
    if (nvsim_node("dxg", -1))
        return UNSUCCESSFUL;
    if (index == adapter_count())
        return INVALID_HANDLE;
    if (query->type == REGISTRY)
        return answer_registry(index, query->data, query->size);
    if (query->type != DRIVER_VERSION)
        return NOT_SUPPORTED;
    if (query->size < sizeof(uint32_t))
        return INVALID_PARAMETER;
    uint32_t version = LOAD(nvsim_board.header.adapter_wddm[index]);
    memcpy(query->data, &version, sizeof version);
    return DONE;
}

API int D3DKMTCloseAdapter(const uint32_t *handle);
int D3DKMTCloseAdapter(const uint32_t *handle)
{
    if (!handle)
        return INVALID_PARAMETER;
    return index_of(*handle) == adapter_count() ? INVALID_HANDLE : DONE;
}

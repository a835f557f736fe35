/* System queries: versions, and the system-wide lists that are empty here. */
#include "internal.h"

static nvmlReturn_t header_text(const char *text, size_t size, char *buffer, unsigned length)
{
    return buffer ? answer_text(text, size, buffer, length) : NVML_ERROR_INVALID_ARGUMENT;
}

/* Under WSL 2 that of Windows' driver.  On Jetson Orin, whose GPU is not the module nvidia's, there is none before
 * 540.4.0 (published outputs of nvidia-smi 540.3.0: "Driver Version: N/A"). */
nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
    const struct nvsim_header *header = &nvsim_board.header;
    const char *found = is_wsl() ? header->windows_version : header->driver_version;
    if (!initialised() && header->driver_branch == 540 && header->driver_release < 4)
        return NVML_ERROR_NOT_SUPPORTED;
    return initialised() ? NVML_ERROR_UNINITIALIZED
                         : header_text(found, sizeof header->driver_version, version, length);
}

/* Works without initialisation since 535. */
nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned int length)
{
    const struct nvsim_header *header = &nvsim_board.header;
    if (driver_branch() < 535 && initialised())
        return NVML_ERROR_UNINITIALIZED;
    return header_text(header->nvml_version, sizeof header->nvml_version, version, length);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *cudaDriverVersion)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!cudaDriverVersion)
        return NVML_ERROR_INVALID_ARGUMENT;
    *cudaDriverVersion = (int)LOAD(nvsim_board.header.cuda_version);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *cudaDriverVersion)
{
    return nvmlSystemGetCudaDriverVersion(cudaDriverVersion);
}

/* The branch of the driver, named after its first number: r550. */
nvmlReturn_t nvmlSystemGetDriverBranch(nvmlSystemDriverBranchInfo_t *branchInfo, unsigned int length)
{
    const struct nvsim_header *header = &nvsim_board.header;
    char branch[sizeof header->driver_version + 2] = "r";
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!branchInfo)
        return NVML_ERROR_INVALID_ARGUMENT;
    KNOWN_VERSION(branchInfo, NVSIM_VERSION_nvmlSystemDriverBranchInfo_v1_t);
    memcpy(branch + 1, header->driver_version, sizeof header->driver_version);
    branch[strcspn(branch, ".")] = '\0';
    return answer_text(branch, sizeof branch, branchInfo->branch,
                       length < sizeof branchInfo->branch ? length : sizeof branchInfo->branch);
}

nvmlReturn_t nvmlSystemGetHicVersion(unsigned int *hwbcCount, nvmlHwbcEntry_t *hwbcEntries)
{
    (void)hwbcEntries;
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!hwbcCount)
        return NVML_ERROR_INVALID_ARGUMENT;
    *hwbcCount = 0;
    return NVML_SUCCESS;
}

static nvmlReturn_t none(unsigned *count)
{
    if (initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!count)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGetExcludedDeviceCount(unsigned int *deviceCount)
{
    return none(deviceCount);
}

nvmlReturn_t nvmlGetExcludedDeviceInfoByIndex(unsigned int index, nvmlExcludedDeviceInfo_t *info)
{
    (void)index;
    (void)info;
    return initialised() ? NVML_ERROR_UNINITIALIZED : NVML_ERROR_INVALID_ARGUMENT;
}

/* The old names of the two functions above: exported by every branch, declared by none. */
nvmlReturn_t nvmlGetBlacklistDeviceCount(unsigned int *deviceCount)
{
    return none(deviceCount);
}

nvmlReturn_t nvmlGetBlacklistDeviceInfoByIndex(unsigned int index, nvmlExcludedDeviceInfo_t *info)
{
    return nvmlGetExcludedDeviceInfoByIndex(index, info);
}

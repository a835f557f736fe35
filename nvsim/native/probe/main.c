/* nvsim-probe: prints what a process sees in a container, as one JSON object (static: it runs in any image).
 *
 * nvsim-probe [--file PATH]… [--lib NAME]… [--exec CMD ARG…]
 *
 * --file adds a path to "files", --lib a name to "libraries"; --exec, the last option, runs a program and reports its
 * end and its output.  Bytes that are not UTF-8 appear as lone surrogates U+DC80…U+DCFF (Python: surrogateescape). */
#include "sections.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

struct request {
    char **files, **libraries, **exec;
    size_t file_count, library_count;
};

/* False, with a line on stderr, for an unknown option or one without its argument. */
static bool parse(struct request *request, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) {
            fprintf(stderr, "nvsim-probe: %s: argument missing or option unknown\n", argv[i]);
            return false;
        }
        if (!strcmp(argv[i], "--exec")) {
            request->exec = argv + i + 1;
            return true;
        }
        if (!strcmp(argv[i], "--file")) {
            request->files[request->file_count++] = argv[i + 1];
        } else if (!strcmp(argv[i], "--lib")) {
            request->libraries[request->library_count++] = argv[i + 1];
        } else {
            fprintf(stderr, "nvsim-probe: %s: unknown option; known: --file PATH, --lib NAME, --exec CMD ARG…\n",
                    argv[i]);
            return false;
        }
    }
    return true;
}

static void write_identity(struct json *json)
{
    char *cwd = getcwd(NULL, 0);

    json_member_number(json, "version", 1);
    json_member_number(json, "uid", getuid());
    json_member_number(json, "gid", getgid());
    json_member(json, "cwd", cwd);
    if (!cwd)
        json_member(json, "cwd_error", errno_name(errno));
    free(cwd);
}

static void write_report(struct json *json, const struct request *request)
{
    json_open(json, '{');
    write_identity(json);
    write_environment(json);
    write_mounts(json);
    write_devices(json);
    json_key(json, "files");
    json_open(json, '{');
    for (size_t i = 0; i < request->file_count; i++)
        write_file(json, request->files[i]);
    json_close(json, '}');
    write_proc_driver(json);
    write_loader(json, (const char *)getauxval(AT_EXECFN), request->libraries, request->library_count);
    if (request->exec)
        write_exec(json, request->exec);
    json_close(json, '}');
    fputc('\n', json->out);
}

int main(int argc, char **argv)
{
    struct request request = {.files = calloc((size_t)argc, sizeof(char *)),
                              .libraries = calloc((size_t)argc, sizeof(char *))};
    struct json json = {.out = stdout};
    int status = 2;

    if (request.files && request.libraries && parse(&request, argc, argv)) {
        write_report(&json, &request);
        status = fflush(stdout) ? 1 : 0;
    }
    free(request.files);
    free(request.libraries);
    return status;
}

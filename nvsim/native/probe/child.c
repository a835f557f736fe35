/* Other programs: the dynamic half of the probe, and the command of --exec. */
#include "sections.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPTURED (1u << 20) /* bytes kept of each stream; the rest is read and dropped */

struct capture {
    int fd;
    size_t length;
    char bytes[CAPTURED];
};

struct outcome {
    int error; /* errno of what kept the program from starting, or 0 */
    int status; /* its exit status, 128 + signal when it was killed */
};

static struct capture out, err;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* In the child: does not return.  The errno of a failed exec goes through `report`, which a successful one closes. */
static void start(char **argv, const int *to, int report)
{
    int error, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    dup2(to[0], STDOUT_FILENO);
    dup2(to[1], STDERR_FILENO);
    execvp(argv[0], argv);
    error = errno;
    _exit(write(report, &error, sizeof error) == sizeof error ? 127 : 126);
}

static void take(struct capture *capture)
{
    char dropped[4096];
    bool full = capture->length == sizeof capture->bytes;
    ssize_t step = full ? read(capture->fd, dropped, sizeof dropped)
                        : read(capture->fd, capture->bytes + capture->length, sizeof capture->bytes - capture->length);
    if (step > 0 && !full)
        capture->length += (size_t)step;
    else if (step == 0 || (step < 0 && errno != EINTR))
        close_fd(&capture->fd);
}

static void take_all(void)
{
    while (out.fd >= 0 || err.fd >= 0) {
        struct pollfd fds[] = {{.fd = out.fd, .events = POLLIN}, {.fd = err.fd, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        if (fds[0].revents)
            take(&out);
        if (fds[1].revents)
            take(&err);
    }
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Runs a program to its end; its output is in `out` and `err`. */
static struct outcome run(char **argv)
{
    int o[2] = {-1, -1}, e[2] = {-1, -1}, r[2] = {-1, -1};
    struct outcome outcome = {0};
    pid_t pid = -1;

    out.length = err.length = 0;
    if (!pipe2(o, O_CLOEXEC) && !pipe2(e, O_CLOEXEC) && !pipe2(r, O_CLOEXEC))
        pid = fork();
    if (pid < 0)
        outcome = (struct outcome){.error = errno, .status = 126};
    if (!pid)
        start(argv, (int[]){o[1], e[1]}, r[1]);
    close_fd(&o[1]), close_fd(&e[1]), close_fd(&r[1]);
    out.fd = o[0], err.fd = e[0];
    if (pid > 0) {
        if (read(r[0], &outcome.error, sizeof outcome.error) != sizeof outcome.error)
            outcome.error = 0;
        take_all();
        outcome.status = wait_for(pid);
    }
    close_fd(&out.fd), close_fd(&err.fd), close_fd(&r[0]);
    return outcome;
}

void write_exec(struct json *json, char **argv)
{
    struct outcome outcome = run(argv);

    json_key(json, "exec");
    json_open(json, '{');
    json_member_number(json, "exit", outcome.status);
    if (outcome.error)
        json_member(json, "error", errno_name(outcome.error));
    json_key(json, "stdout");
    json_bytes(json, out.bytes, out.length);
    json_key(json, "stderr");
    json_bytes(json, err.bytes, err.length);
    json_close(json, '}');
}

static void write_no_loader(struct json *json, const char *why)
{
    static const char *const parts[] = {"nvml", "cuda"};

    json_key(json, "libraries");
    json_open(json, '{');
    json_close(json, '}');
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        json_key(json, parts[i]);
        json_open(json, '{');
        json_member(json, "error", why);
        json_close(json, '}');
    }
}

/* What the dynamic loader finds is asked of `<self>-dl`, a dynamic program that prints {"libraries":…,"nvml":…,…}.  In an
 * image without a glibc loader its exec fails with ENOENT although the file is there. */
void write_loader(struct json *json, const char *self, char **libraries, size_t count)
{
    size_t size = strlen(self) + sizeof "-dl";
    char *path = malloc(size), **argv = calloc(count + 2, sizeof *argv);

    if (path && argv) {
        snprintf(path, size, "%s-dl", self);
        argv[0] = path;
        memcpy(argv + 1, libraries, count * sizeof *argv);
    }
    if (!path || !argv || access(path, F_OK)) {
        write_no_loader(json, "no dynamic half beside the probe");
    } else {
        struct outcome outcome = run(argv);
        while (out.length && out.bytes[out.length - 1] == '\n')
            out.length--;
        if (outcome.error)
            write_no_loader(json, outcome.error == ENOENT ? "no dynamic loader" : errno_name(outcome.error));
        else if (outcome.status || out.length < 2 || out.bytes[0] != '{' || out.bytes[out.length - 1] != '}')
            write_no_loader(json, "the dynamic half of the probe failed");
        else
            json_raw(json, out.bytes + 1, out.length - 2);
    }
    free(path);
    free(argv);
}

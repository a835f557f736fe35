/* The sections of the probe's report.  None of them fails: what cannot be read is reported by the name of its errno. */
#pragma once

#include "json.h"

const char *errno_name(int code);

void write_environment(struct json *json);
void write_mounts(struct json *json);
void write_devices(struct json *json);
void write_file(struct json *json, const char *path);
void write_proc_driver(struct json *json);
void write_loader(struct json *json, const char *self, char **libraries, size_t count);
void write_exec(struct json *json, char **argv);

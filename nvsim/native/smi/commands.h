/* What nvidia-smi can do; each returns its exit status. */
#pragma once

#include "gpus.h"
#include "options.h"

/* Subcommands, with the whole command line. */
int run_dmon(int argc, char **argv);
int run_mig(int argc, char **argv);
int run_nvlink(int argc, char **argv);
int run_pmon(int argc, char **argv);
int run_topo(int argc, char **argv);

int print_list(FILE *out);
int print_excluded(FILE *out);
void print_table(const struct gpus *gpus, FILE *out);
void print_report(const struct gpus *gpus, const struct options *options, FILE *out);
bool are_sections(const char *list);
int check_fields(enum query query, const char *fields, FILE *out);
void print_query(const struct gpus *gpus, const struct options *options, bool header, FILE *out);
void print_query_help(enum query query, FILE *out);

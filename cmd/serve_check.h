/* SPDX-License-Identifier: Apache-2.0 */
/* `serve --check`: would this configuration serve, and what would it do? */
#ifndef CARDEA_CMD_SERVE_CHECK_H
#define CARDEA_CMD_SERVE_CHECK_H

#include <stdbool.h>
#include <stddef.h>

struct door_bindings;
struct buf;
struct snapshot;
struct snapshot_shared;

/* Read everything the configuration names, open no port, print the routes in their order of precedence (or
 * JSON), or the errors; on standard error what tell_warnings() says, with hints. With `json` all of it goes
 * to standard output as one object: "routes" and "warnings", or "errors". Returns the exit status: 0 good, 1
 * not. */
int check_config(const char *path, const struct door_bindings *bindings, bool json);

/* The configuration as a door would serve it, with what stands beside it; nothing is served and the disk left
 * as it is. `files`: the files too that only a start or an order opens must be good. `shared` is filled in
 * and must outlive it. NULL with lines in `errors`. */
struct snapshot *check_build(const char *path, const struct door_bindings *bindings, bool files,
                             struct snapshot_shared *shared, struct buf *errors);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a folder change (inotify(7)). Told a moment later, once for all that happened to a file
 * meanwhile, since a certificate and its key are seldom written at once. */
#ifndef CARDEA_KEEPER_FOLDER_WATCH_H
#define CARDEA_KEEPER_FOLDER_WATCH_H

#include <stdbool.h>

struct folder_watch;
struct loop;

struct folder_watcher {
    void (*file)(void *arg,
                 const char *file); /* it was written, replaced, or has gone; its name in the folder */
    void (*all)(void *arg);         /* there is no telling what has changed */
    void *arg;
};

/* Watch the folder at `path` (borrowed), which need not be there yet: it is looked for every few seconds.
 * Never NULL. */
struct folder_watch *folder_watch_new(struct loop *loop, const char *path,
                                      const struct folder_watcher *watcher);

/* NULL is allowed. */
void folder_watch_free(struct folder_watch *watch);

/* Is it being told of changes just now? */
bool folder_watch_works(const struct folder_watch *watch);

#endif

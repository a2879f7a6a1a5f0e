/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a command by which another process of ours reaches a door as this one does. */
#ifndef CARDEA_CMD_CLIENT_WORDS_H
#define CARDEA_CMD_CLIENT_WORDS_H

#include <stddef.h>

#include "tunnel/client.h"

#define CLIENT_WORDS_MAX 28

struct client_words {
    char *v[CLIENT_WORDS_MAX]; /* borrowed; behind the last one nothing stands, no NULL either */
    size_t n;
};

/* Put an option and its value, where there is one. */
void client_words_put(struct client_words *w, const char *flag, const char *value);

/* How nobody on the way hears the name: --ech and those that go with it, and --pq. */
void client_words_put_secrecy(struct client_words *w, const struct client_settings *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The process that carries the connections of one user to one door: `cardea carry`. Each caller on its unix
 * socket is a connection through the door (client.h); all share what leads there. When a certificate, key or
 * CA file has changed, new connections are made with the new one, those that are open go on as they are. */
#ifndef CARDEA_TUNNEL_SHARE_H
#define CARDEA_TUNNEL_SHARE_H

#include "tunnel/client.h"

struct share;

/* How long it is of use. */
struct share_life {
    int64_t idle;                /* nanoseconds without a caller */
    int64_t vain;                /* the same as long as no door has been reached: nobody misses it then */
    void (*unused)(void *owner); /* called once that is over */
    void *owner;
};

/* Serve on the listening unix socket `fd` (taken over, also on failure). `settings` (with absolute paths)
 * must live as long as the share. NULL with `err`. */
struct share *share_new(struct loop *loop, int fd, const struct client_settings *settings,
                        const struct share_life *life, struct err *err);

/* There is word of a newer certificate in the file: look now, not when it is due. */
void share_look(struct share *s);

/* Cut off what is open; the loop frees the rest in its next round, or in loop_free(). NULL is allowed. */
void share_free(struct share *s);

/* Is nobody using it at the moment? */
bool share_is_unused(const struct share *s);

#endif

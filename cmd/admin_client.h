/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the running door over its admin socket; blocking. */
#ifndef CARDEA_CMD_ADMIN_CLIENT_H
#define CARDEA_CMD_ADMIN_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct json_t; /* jansson's */

/* Send `method` `path` to the door behind `socket` (NULL: $CARDEA_SOCKET, else the first of the default ones
 * that answers) and wait for at most `timeout` nanoseconds. The status of the answer, with its JSON object in
 * *ret (the caller's, json_decref()); or -1 with `err`, which names the socket and says what to do. */
int admin_ask(const char *socket, const char *method, const char *path, int64_t timeout, struct json_t **ret,
              struct err *err);

/* Say on standard error that the CA of that door is near its end, if that is so. */
void admin_warn_of_ca(const char *socket);

/* Is there a door to ask, as admin_ask() would look for it? True also for one that may not be asked. */
bool admin_is_there(const char *socket);

/* Append "key=value" to the query of a path, percent-encoded (RFC 3986, 2.1), behind a '&' where it does not
 * begin with it; NULL: nothing. */
void admin_put_value(struct buf *path, const char *key, const char *value);

/* Append where a door is looked for when nobody names its socket: paths apart by words. */
void admin_put_places(struct buf *ret);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The server_name extension: the name the client asks for (RFC 6066, 3). */
#ifndef CARDEA_HELLO_SERVER_NAME_H
#define CARDEA_HELLO_SERVER_NAME_H

#include "hello/hello.h"

/* Read the extension's body into h->name, name_len and name_kind. */
enum hello_reason server_name_parse(struct cursor body, struct hello *h);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What hitch's file says, before it becomes a door. */
#ifndef CARDEA_IMPORT_HITCH_H
#define CARDEA_IMPORT_HITCH_H

#include "import/setting.h"

#define HITCH_GLOBAL 1u
#define HITCH_FRONTEND 2u /* within frontend = {} */
#define HITCH_PEM 4u      /* within pem-file = {} */

/* A certificate: pem-file = "PATH", or a block. */
struct hitch_pem {
    struct setting *file; /* "cert" of a block, else "pem-file" */
    struct scope scope;   /* of the block */
    struct hitch_pem *next;
};

struct hitch_scope {
    struct scope scope;
    struct hitch_pem *pems, *pems_last;
};

struct hitch_frontend {
    struct setting *said; /* "frontend"; its value is empty where it is a block */
    struct hitch_scope own;
    struct node *remarks; /* comments before it */
    struct hitch_frontend *next;
};

struct hitch {
    struct import im;
    struct hitch_scope global;
    struct hitch_frontend *first, *last;
};

/* Read the file. -1 with im.err. */
int hitch_read(struct hitch *h, const char *path);

/* Make the door of it. -1 with im.err. */
int hitch_build(struct hitch *h);

#endif

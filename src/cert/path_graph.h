/* SPDX-License-Identifier: Apache-2.0 */
/* Who may have signed whom, by names alone: found once for a search, in time that grows with the certificates
 * and not with the ways through them. It tells in which order to try, and which certificates cannot lead to
 * an anchor whatever else holds; without that a mesh of n names a layer has n ways more with each layer.
 * Private to path*.c. */
#ifndef CARDEA_CERT_PATH_GRAPH_H
#define CARDEA_CERT_PATH_GRAPH_H

#include "cert/path.h"

#define GRAPH_FAR UINT8_MAX

struct graph_name {
    size_t anchor;       /* the first with it as subject, or ANCHORS_NONE */
    uint32_t first, end; /* those of `order` with it as subject */
    uint8_t near; /* steps from a certificate with it as issuer to an anchor; GRAPH_FAR: there is no way
                   * over certificates that are good as CAs */
    bool known;   /* there is one over any */
};

struct path_graph {
    size_t len; /* of the certificates */
    const struct path_cert *certs;
    /* by certificate */
    uint32_t *subject, *issuer; /* numbers of names */
    uint32_t *key;              /* number of its key: the same for the same key */
    uint32_t *order;            /* all but the leaf: by subject, and the most promising first */
    enum path_fault *fault;     /* as a CA above this leaf */
    /* by name */
    struct graph_name *names;
    size_t names_len;

    void *memory;
};

/* The certificates of the question are borrowed. */
void path_graph_make(const struct path_question *question, struct path_graph *ret);

void path_graph_free(struct path_graph *graph);

#endif

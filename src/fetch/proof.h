/* SPDX-License-Identifier: Apache-2.0 */
/* Does a server prove who it is? libcurl shakes hands with anyone and calls back before it sends the
 * request (of HTTP/2 it has sent its preface, which is the same for all); what the server has shown is judged
 * by cert/trust.h then, as that of every other peer.
 *
 * A connection is judged once, when it is new, and until then it is not one that libcurl may keep: one of
 * HTTP/2 outlives a request that is broken off. libcurl takes it for later requests to the same host and port
 * with the same CA file only, one after the other (CURLPIPE_NOTHING: none joins while another has it); and
 * one of a request that asks for no proof never for one that does. */
#ifndef CARDEA_FETCH_PROOF_H
#define CARDEA_FETCH_PROOF_H

#include <stdbool.h>

struct fetch;

/* Before the request begins: its servers are to lead to the CAs of `t->ca_file`, or to the system's. libcurl
 * and its TLS library see to that by themselves where they are too old (before 7.80), or cannot tell what a
 * server has shown. False: libcurl does not take it. */
bool proof_ask(struct fetch *t);

/* Before the request begins: anyone will do. */
bool proof_waive(struct fetch *t);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What `cardea expose` tells of what happens: lines on standard error, and with --json on standard output. */
#ifndef CARDEA_CMD_EXPOSE_TOLD_H
#define CARDEA_CMD_EXPOSE_TOLD_H

#include "cmd/expose_options.h"
#include "tunnel/exposer.h"

void expose_told_news(const struct expose_options *o, const struct agent_news *n);
void expose_told_visited(const struct expose_options *o, const struct agent_visited *v);

/* An end that somebody asked for waits for so many visitors. */
void expose_told_stopping(const struct expose_options *o, size_t n);

/* After the last line about a visitor. */
void expose_told_stopped(const struct expose_options *o, size_t cut_off);

#endif

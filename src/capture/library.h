/* SPDX-License-Identifier: Apache-2.0 */
/* libpcap, which reads capture files (pcap and pcapng), loaded when one is to be read: a door never is asked
 * to, and starts without it. */
#ifndef CARDEA_CAPTURE_LIBRARY_H
#define CARDEA_CAPTURE_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct capture_file;

/* Open a file; "-": standard input. NULL with *err, which names the file. */
struct capture_file *capture_file_open(const char *path, struct err *err);

/* What its frames begin with (capture/packet.h), and what that is called. */
int capture_file_link(const struct capture_file *f);
const char *capture_file_link_name(const struct capture_file *f);

struct capture_file_frame {
    int64_t time; /* nanoseconds since 1970 */
    const uint8_t *data;
    size_t len;      /* bytes that were captured */
    size_t original; /* bytes that it had */
};

/* The next frame, which lives until the next call: 1; 0 at the end; -1 with *err where the file is broken
 * from here on. */
int capture_file_next(struct capture_file *f, struct capture_file_frame *ret, struct err *err);

/* NULL is allowed. */
void capture_file_close(struct capture_file *f);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What a page says and where it leads, of HTML as the web has it: broken, cut off, hostile. No tree is made;
 * a page is read once, in time that grows with its length. Pure. */
#ifndef CARDEA_PROBE_PAGE_HTML_H
#define CARDEA_PROBE_PAGE_HTML_H

#include <stdbool.h>

#include "base/str.h"

#define PAGE_PATH_MAX 1024 /* bytes of a path with its query, the NUL included; what is longer is no link */

/* `piece` is a stretch of the page's text, as it stands between two tags: no comment, and nothing of scripts
 * and styles. Borrowed from the page. */
typedef void page_text_found(void *arg, struct str piece);
void page_text(struct str html, page_text_found *found, void *arg);

/* `reference` is the value of an attribute href or src, as it stands. Borrowed from the page. */
typedef void page_link_found(void *arg, struct str reference);
void page_links(struct str html, page_link_found *found, void *arg);

/* The path, with its query, that a reference on the page at `base` leads to (RFC 3986, 5.2), where it stays
 * on the site of `host` (a name in lower case, or an address without brackets), at whatever port and whether
 * by http: or https:. False where it leads elsewhere, or nowhere: another scheme, a mere fragment, control
 * characters, or too long. */
bool page_link_path(const char *host, const char *base, struct str reference, char ret_path[PAGE_PATH_MAX]);

#endif

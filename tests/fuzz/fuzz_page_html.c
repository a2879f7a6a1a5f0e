/* SPDX-License-Identifier: Apache-2.0 */
/* probe/page_html.h and what likeness reads of pages: pieces are within the page and in its order, a path is
 * one that can be asked for, and stays the same when it is referred to again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "probe/page_likeness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
    const char *at, *end;
};

static void see(struct seen *s, struct str piece)
{
    CHECK(piece.p >= s->at && piece.p + piece.len <= s->end);
    s->at = piece.p + piece.len;
}

static void on_text(void *arg, struct str piece)
{
    see(arg, piece);
    CHECK(piece.len > 0);
}

static void on_link(void *arg, struct str reference)
{
    char path[PAGE_PATH_MAX], again[PAGE_PATH_MAX];
    see(arg, reference);
    if (!page_link_path("site.test", "/a/b?c", reference, path))
        return;
    CHECK(path[0] == '/' && strcspn(path, " \t\r\n#\x7f") == strlen(path));
    if (path[1] != '/' && strstr(path, "&amp;") == NULL) {
        CHECK(page_link_path("site.test", "/", (struct str){path, strlen(path)}, again));
        CHECK(strcmp(path, again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str html = {(const char *)data, len};
    struct seen text = {html.p, html.p + len}, links = text;
    struct page_prints prints;
    page_text(html, on_text, &text);
    page_links(html, on_link, &links);
    page_prints_make(html, true, &prints);
    CHECK(prints.n <= 2 * PAGE_WORDS_MAX && page_prints_likeness(&prints, &prints) == 1);
    page_prints_free(&prints);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl, loaded when it is first needed. It brings some twenty libraries; whoever makes no requests (most
 * client verbs, most doors) would pay five milliseconds at the start and five megabytes for them. */
#ifndef CARDEA_FETCH_LIBRARY_H
#define CARDEA_FETCH_LIBRARY_H

#include <curl/curl.h>

#include "base/err.h"

/* The functions of libcurl that are used, under their names without "curl_". */
struct curl_library {
    CURLcode (*global_init)(long flags);
    const curl_version_info_data *(*version_info)(CURLversion version);
    CURL *(*easy_init)(void);
    void (*easy_cleanup)(CURL *easy);
    CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
    CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
    const char *(*easy_strerror)(CURLcode code);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_cleanup)(CURLM *multi);
    CURLMcode (*multi_setopt)(CURLM *multi, CURLMoption option, ...);
    CURLMcode (*multi_add_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_remove_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_assign)(CURLM *multi, curl_socket_t fd, void *arg);
    CURLMcode (*multi_socket_action)(CURLM *multi, curl_socket_t fd, int events, int *ret_running);
    CURLMsg *(*multi_info_read)(CURLM *multi, int *ret_left);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
    CURLU *(*url)(void);
    void (*url_cleanup)(CURLU *url);
    CURLUcode (*url_set)(CURLU *url, CURLUPart part, const char *text, unsigned flags);
    CURLUcode (*url_get)(const CURLU *url, CURLUPart part, char **ret, unsigned flags);
    void (*free)(void *text);
};

/* It, loaded once in a process and never unloaded; in any thread. NULL with `err` saying what to install. */
const struct curl_library *curl_library(struct err *err);

/* Load the first of `names` (to a NULL) that is there and has all that is used into `ret`. -1 with `err`. */
int curl_library_load(const char *const *names, struct curl_library *ret, struct err *err);

#endif

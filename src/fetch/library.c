/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "base/check.h"

/* That of GnuTLS first: cardea has its own libcrypto inside, and another OpenSSL in the process is one too
 * many. */
static const char *const usual_names[] = {"libcurl-gnutls.so.4", "libcurl.so.4", NULL};

static const struct {
    const char *name;
    size_t at;
} functions[] = {
#define FUNCTION(name)                                     \
    {                                                      \
        "curl_" #name, offsetof(struct curl_library, name) \
    }
    FUNCTION(global_init),      FUNCTION(version_info),
    FUNCTION(easy_init),        FUNCTION(easy_cleanup),
    FUNCTION(easy_setopt),      FUNCTION(easy_getinfo),
    FUNCTION(easy_strerror),    FUNCTION(multi_init),
    FUNCTION(multi_cleanup),    FUNCTION(multi_setopt),
    FUNCTION(multi_add_handle), FUNCTION(multi_remove_handle),
    FUNCTION(multi_assign),     FUNCTION(multi_socket_action),
    FUNCTION(multi_info_read),  FUNCTION(slist_append),
    FUNCTION(slist_free_all),   FUNCTION(url),
    FUNCTION(url_cleanup),      FUNCTION(url_set),
    FUNCTION(url_get),          FUNCTION(free),
#undef FUNCTION
};

static int resolve(void *handle, struct curl_library *ret, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        void *symbol = dlsym(handle, functions[i].name);
        if (symbol == NULL)
            return err_set(err, "libcurl has no %s: expected version 7.68 or later", functions[i].name);
        memcpy((char *)ret + functions[i].at, &symbol, sizeof(symbol));
    }
    if (ret->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, "libcurl could not set itself up");
    const curl_version_info_data *has = ret->version_info(CURLVERSION_NOW);
    if ((has->features & CURL_VERSION_SSL) == 0)
        return err_set(err, "libcurl %s was built without TLS", has->version);
    return 0;
}

int curl_library_load(const char *const *names, struct curl_library *ret, struct err *err)
{
    err_set(err, "no name of a library was given");
    for (; *names != NULL; names++) {
        void *handle = dlopen(*names, RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL) {
            err_set(err,
                    "requests over HTTP need libcurl, which could not be loaded (%s); install it "
                    "(Debian: libcurl3-gnutls; elsewhere: libcurl)",
                    dlerror());
            continue;
        }
        if (resolve(handle, ret, err) == 0)
            return 0;
        dlclose(handle);
    }
    return -1;
}

static struct {
    pthread_once_t once;
    struct curl_library library;
    struct err err;
    bool loaded;
} usual = {.once = PTHREAD_ONCE_INIT};

static void load_usual(void)
{
    usual.loaded = curl_library_load(usual_names, &usual.library, &usual.err) == 0;
}

const struct curl_library *curl_library(struct err *err)
{
    pthread_once(&usual.once, load_usual);
    if (usual.loaded)
        return &usual.library;
    err_set(err, "%s", usual.err.text);
    return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/library.h"

#include <dlfcn.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

#define SECONDS_MAX (INT64_C(1) << 33) /* a clock that says more is broken */

/* The functions of libpcap that are used, under their names without "pcap_". */
struct pcap_library {
    pcap_t *(*open_offline_with_tstamp_precision)(const char *path, u_int precision, char *error);
    int (*next_ex)(pcap_t *pcap, struct pcap_pkthdr **header, const u_char **data);
    int (*datalink)(pcap_t *pcap);
    const char *(*datalink_val_to_name)(int link);
    char *(*geterr)(pcap_t *pcap);
    void (*close)(pcap_t *pcap);
};

struct capture_file {
    struct pcap_library lib;
    pcap_t *pcap;
    const char *path;
};

static const struct {
    const char *name;
    size_t at;
} functions[] = {
#define FUNCTION(name)                                     \
    {                                                      \
        "pcap_" #name, offsetof(struct pcap_library, name) \
    }
    FUNCTION(open_offline_with_tstamp_precision),
    FUNCTION(next_ex),
    FUNCTION(datalink),
    FUNCTION(datalink_val_to_name),
    FUNCTION(geterr),
    FUNCTION(close),
#undef FUNCTION
};

/* Debian's name, then that of everybody else. Never unloaded. */
static int load(struct pcap_library *ret, struct err *err)
{
    void *handle = dlopen("libpcap.so.0.8", RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        handle = dlopen("libpcap.so.1", RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return err_set(err,
                       "reading captures needs libpcap, which could not be loaded (%s); install it "
                       "(Debian: libpcap0.8; elsewhere: libpcap)",
                       dlerror());
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        void *symbol = dlsym(handle, functions[i].name);
        if (symbol == NULL)
            return err_set(err, "libpcap has no %s: expected version 1.5 or later", functions[i].name);
        memcpy((char *)ret + functions[i].at, &symbol, sizeof(symbol));
    }
    return 0;
}

struct capture_file *capture_file_open(const char *path, struct err *err)
{
    char text[PCAP_ERRBUF_SIZE] = "";
    struct capture_file *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->path = path;
    if (load(&f->lib, err) == 0) {
        CHECK(f->lib.open_offline_with_tstamp_precision != NULL);
        f->pcap = f->lib.open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, text);
        if (f->pcap != NULL)
            return f;
        size_t named = strncmp(text, path, strlen(path)) == 0 ? strlen(path) : 0;
        err_set(err, "%s: %s", path, named > 0 ? text + named + strspn(text + named, ": ") : text);
    }
    free(f);
    return NULL;
}

int capture_file_link(const struct capture_file *f)
{
    return f->lib.datalink(f->pcap);
}

const char *capture_file_link_name(const struct capture_file *f)
{
    const char *name = f->lib.datalink_val_to_name(capture_file_link(f));
    return name != NULL ? name : "unknown";
}

int capture_file_next(struct capture_file *f, struct capture_file_frame *ret, struct err *err)
{
    struct pcap_pkthdr *header;
    int rc = f->lib.next_ex(f->pcap, &header, &ret->data);
    if (rc == PCAP_ERROR_BREAK)
        return 0;
    if (rc != 1)
        return err_set(err, "%s: %s", f->path, f->lib.geterr(f->pcap));
    /* With this precision the fraction is in nanoseconds. */
    ret->time = MIN(MAX((int64_t)header->ts.tv_sec, 0), SECONDS_MAX) * NSEC_PER_SEC + header->ts.tv_usec;
    ret->len = header->caplen;
    ret->original = header->len;
    return 1;
}

void capture_file_close(struct capture_file *f)
{
    if (f == NULL)
        return;
    f->lib.close(f->pcap);
    free(f);
}

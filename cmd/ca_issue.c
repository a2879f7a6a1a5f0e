/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea ca issue` and `sign`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "ca/csr.h"
#include "ca/ssh.h"
#include "cmd/ca.h"
#include "cmd/cmd.h"

/* ---- names ---- */

/* For servers each word from `first` on is a name in the certificate; of others the first is who they are,
 * unless --name says that. */
static struct ca_request request_of(const struct ca_options *o, size_t first)
{
    bool server = o->profile == CA_PROFILE_SERVER, takes = !server && o->name == NULL && o->words.len > first;
    const char *name = takes ? o->words.at[first] : o->name;
    first += takes;
    return (struct ca_request){.name = name,
                               .sans = o->words.at + first,
                               .sans_len = o->words.len - first,
                               .groups = o->groups.at,
                               .groups_len = o->groups.len,
                               .key = o->key,
                               .must_staple = o->must_staple,
                               .now = ca_now(),
                               .lifetime = o->lifetime};
}

/* ---- issue ---- */

/* OUT.pem and OUT.key; without --out they are called as the first name, where that can be a file's. */
static int save(struct authority *a, const struct ca *made_one, const struct ca_options *o)
{
    const char *out = o->out != NULL ? o->out : o->words.at[0];
    char *cert, *key, *files;
    struct err err;
    CHECK(asprintf(&cert, "%s.pem", out) >= 0 && asprintf(&key, "%s.key", out) >= 0);
    CHECK(asprintf(&files, "%s, %s", cert, key) >= 0);
    struct ca_serial serial = ca_serial(made_one);
    int status = ca_save(made_one, cert, key, &err) < 0 ? cmd_failed("%s", err.text)
                                                        : ca_tell_issued(a, &serial, files, o->json);
    free(files);
    free(key);
    free(cert);
    return status;
}

/* Before anything is issued: what is in the way of the files would leave a certificate that nobody has. */
static int check_out(const struct ca_options *o, struct err *err)
{
    static const char *const ends[] = {".pem", ".key"};
    const char *out = o->out != NULL ? o->out : o->words.at[0];
    if (o->out == NULL && (strpbrk(out, "/*:@ ") != NULL || out[0] == '.' || out[0] == '-'))
        return err_set(err, "'%s' is no good name for files; give one with --out PATH", out);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char *path;
        CHECK(asprintf(&path, "%s%s", out, ends[i]) >= 0);
        FILE *f = fopen(path, "re");
        int rc = f == NULL ? 0 : err_set(err, "%s: exists already and is not overwritten", path);
        if (f != NULL)
            fclose(f);
        free(path);
        if (rc < 0)
            return -1;
    }
    return 0;
}

int ca_issue_form(const struct ca_options *o)
{
    char who[64];
    struct err err;
    if (o->ssh != NULL)
        return ca_issue_ssh(o);
    if (o->principals.len > 0 || o->id != NULL || o->force_command != NULL || o->source_address != NULL ||
        o->no_pty || o->no_forwarding)
        return cmd_misused("ca", "principals and options of a session go with --ssh user|host only");
    if (check_out(o, &err) < 0)
        return cmd_failed("%s", err.text);
    struct authority *a = ca_open(o, true);
    if (a == NULL)
        return CMD_FAILED;
    const struct ca_request request = request_of(o, 0);
    struct ca *one = authority_issue(a, o->profile, &request, ca_who(who), &err);
    int status = one == NULL ? cmd_failed("%s", err.text) : save(a, one, o);
    ca_free(one);
    authority_close(a);
    return status;
}

/* ---- issue --ssh ---- */

/* KEY-cert.pub beside KEY.pub, where ssh looks for it. One that is there is an older one. */
static int save_ssh(struct authority *a, const struct ca_options *o, const struct ca_serial *serial,
                    const struct buf *line)
{
    const char *pub = o->words.at[0];
    size_t len = strlen(pub);
    struct err err;
    char *path;
    if (len > 4 && strcmp(pub + len - 4, ".pub") == 0)
        len -= 4;
    if (o->out != NULL)
        CHECK((path = strdup(o->out)) != NULL);
    else
        CHECK(asprintf(&path, "%.*s-cert.pub", (int)len, pub) >= 0);
    int status = file_write_atomic(path, 0644, line->data, line->len, &err) < 0
                     ? cmd_failed("%s", err.text)
                     : ca_tell_issued(a, serial, path, o->json);
    free(path);
    return status;
}

static int issue_ssh(struct authority *a, const struct ca_options *o, struct str pub)
{
    const struct authority_ssh request = {.host = strcmp(o->ssh, "host") == 0,
                                          .id = o->id != NULL ? o->id : o->principals.at[0],
                                          .principals = o->principals.at,
                                          .principals_len = o->principals.len,
                                          .lifetime = o->lifetime,
                                          .force_command = o->force_command,
                                          .source_address = o->source_address,
                                          .no_pty = o->no_pty,
                                          .no_forwarding = o->no_forwarding};
    struct buf line = {0};
    struct ca_serial serial;
    struct err err;
    char who[64];
    int status = authority_ssh_certify(a, pub, &request, ca_who(who), ca_now(), &serial, &line, &err) < 0
                     ? cmd_failed("%s: %s", o->words.at[0], err.text)
                     : save_ssh(a, o, &serial, &line);
    buf_free(&line);
    return status;
}

int ca_issue_ssh(const struct ca_options *o)
{
    struct buf pub = {0};
    struct err err;
    if (strcmp(o->ssh, "user") != 0 && strcmp(o->ssh, "host") != 0)
        return cmd_misused("ca", "found --ssh '%s', expected user or host", o->ssh);
    if (o->words.len != 1 || o->groups.len > 0 || o->must_staple || o->name != NULL)
        return cmd_misused("ca", "--ssh takes one public key, KEY.pub, and names by --principal");
    if (o->principals.len == 0)
        return cmd_misused("ca", "for whom? Give --principal %s", o->ssh[0] == 'u' ? "USER" : "HOST");
    if (file_read(o->words.at[0], SSH_LINE_MAX, &pub, NULL, &err) < 0)
        return cmd_failed("%s", err.text);
    struct authority *a = ca_open(o, true);
    int status = a == NULL ? CMD_FAILED : issue_ssh(a, o, (struct str){(const char *)pub.data, pub.len});
    authority_close(a);
    buf_free(&pub);
    return status;
}

/* ---- sign ---- */

static int write_out(const char *path, const struct buf *pem)
{
    struct err err;
    if (path == NULL) {
        fwrite(pem->data, 1, pem->len, stdout);
        return fflush(stdout) == 0 ? CMD_OK : cmd_failed("standard output could not be written");
    }
    return file_create_atomic(path, 0644, pem->data, pem->len, &err) < 0 ? cmd_failed("%s", err.text)
                                                                         : CMD_OK;
}

/* A server's names may be those of the request, for they open nothing; who somebody is, is not for himself to
 * say. */
static int take_names(const struct ca_options *o, const struct csr *csr, struct ca_request *request,
                      struct err *err)
{
    if (request->sans_len > 0 || (o->profile != CA_PROFILE_SERVER && request->name != NULL))
        return 0;
    if (o->profile != CA_PROFILE_SERVER)
        return err_set(
            err, "who is it? The names of a request are taken for servers only: give NAME behind the file");
    for (size_t i = 0; i < csr->sans_len; i++)
        if (strpbrk(csr->sans[i], "/@") != NULL)
            return err_set(
                err,
                "the request asks for '%s', which is no name of a server: give the names behind the file",
                csr->sans[i]);
    request->sans = (const char *const *)csr->sans;
    request->sans_len = csr->sans_len;
    return 0;
}

static int sign(struct authority *a, const struct ca_options *o, const struct csr *csr)
{
    struct ca_request request = request_of(o, 1);
    struct ca_serial serial;
    struct buf pem = {0};
    struct err err;
    char who[64];
    int status =
        take_names(o, csr, &request, &err) < 0 ||
                authority_certify(a, csr->key, o->profile, &request, ca_who(who), &serial, &pem, &err) < 0
            ? cmd_failed("%s: %s", o->words.at[0], err.text)
            : write_out(o->out, &pem);
    buf_free(&pem);
    return status;
}

int ca_sign(const struct ca_options *o)
{
    struct buf file = {0};
    struct csr csr = {0};
    struct err err;
    int status = CMD_FAILED;
    if (file_read(o->words.at[0], CSR_BYTES_MAX, &file, NULL, &err) < 0) {
        cmd_failed("%s", err.text);
    } else if (csr_read_any(&file, &csr, &err) < 0) {
        cmd_failed("%s: %s", o->words.at[0], err.text);
    } else {
        struct authority *a = ca_open(o, true);
        status = a == NULL ? CMD_FAILED : sign(a, o, &csr);
        authority_close(a);
    }
    csr_free(&csr);
    buf_free(&file);
    return status;
}

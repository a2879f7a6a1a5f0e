/* SPDX-License-Identifier: Apache-2.0 */
/* Every protocol that is built in, in each of its sections: dialogues and what comes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "starttls/starttls.h"

#define B(text) text, sizeof(text) - 1
#define XMPP_STREAM(ns)                                                                    \
    "<?xml version='1.0'?><stream:stream from='a.example' id=\"1\" xmlns='jabber:" ns "' " \
    "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
#define XMPP_OPEN(ns)                                                                              \
    "<?xml version='1.0'?><stream:stream to='db.example.com' version='1.0' xmlns='jabber:" ns "' " \
    "xmlns:stream='http://etherx.jabber.org/streams'>"
#define XMPP_START "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
#define XMPP_PROCEED "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
#define XMPP_OFFER(ns, to)                                                                               \
    "<?xml version='1.0'?><stream:stream from='" to "' id='cardea' version='1.0' xmlns='jabber:" ns "' " \
    "xmlns:stream='http://etherx.jabber.org/streams'><stream:features>"                                  \
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
#define OID "1.3.6.1.4.1.1466.20037"
#define MYSQL_GREETING(high) \
    "\x27\0\0\0\x0a"         \
    "8.0.36\0\1\0\0\0abcdefgh\0\xff" high "\x2d\2\0\xff\xc7\x15\0\0\0\0\0\0\0\0\0\0"
#define SIEVE_OFFER                                                                              \
    "\"IMPLEMENTATION\" \"door.example\"\r\n\"SASL\" \"\"\r\n\"SIEVE\" \"\"\r\n\"STARTTLS\"\r\n" \
    "\"VERSION\" \"1.0\"\r\nOK\r\n"

struct row {
    const char *protocol;
    const char *section;
    bool required;
    const char *in; /* what the peer says */
    size_t len;
    enum starttls_status status;
    enum starttls_failure failure;
    const char *say; /* what is said; NULL: not looked at here */
    size_t say_len;
    const char *text; /* in the error's text, or the section that leads onward */
};

#define SWITCHES(p, s, in, say)                                               \
    {                                                                         \
        p, s, true, B(in), STARTTLS_SWITCH, STARTTLS_NO_FAILURE, B(say), NULL \
    }
#define ENDS(p, s, in, status, say)                                             \
    {                                                                           \
        p, s, true, B(in), STARTTLS_##status, STARTTLS_NO_FAILURE, B(say), NULL \
    }
#define FAILS(p, s, in, failure, text)                                        \
    {                                                                         \
        p, s, true, B(in), STARTTLS_FAILED, STARTTLS_##failure, NULL, 0, text \
    }
#define PLAIN(p, in, say, onward)                                                      \
    {                                                                                  \
        p, "answer", false, B(in), STARTTLS_PLAIN, STARTTLS_NO_FAILURE, B(say), onward \
    }

static const struct row rows[] = {
    /* smtp */
    SWITCHES("smtp", "ask", "220 mx ESMTP\r\n250-mx\r\n250-SIZE 1\r\n250 STARTTLS\r\n220 go\r\n",
             "EHLO door.example\r\nSTARTTLS\r\n"),
    SWITCHES("smtp", "ask",
             "220-a\r\n220-\r\n220\r\n250-mx\r\n250-starttls\r\n250-X y\r\n250\r\n220-a\r\n220\r\n",
             "EHLO door.example\r\nSTARTTLS\r\n"),
    SWITCHES("smtp", "ask", "220 mx\n250-mx\n250 STARTTLS REQUIRED\n220 go\n",
             "EHLO door.example\r\nSTARTTLS\r\n"),
    FAILS("smtp", "ask", "220 mx\r\n250-mx\r\n250 SIZE 1\r\n", MISSING, "does not offer STARTTLS"),
    FAILS("smtp", "ask", "220 mx\r\n250-STARTTLSX\r\n250 OK\r\n", MISSING, "taken out on the way"),
    FAILS("smtp", "ask", "220 mx\r\n502 what\r\n", REFUSED,
          "does not answer EHLO; the server said '502 what'"),
    FAILS("smtp", "ask", "220 mx\r\n250 STARTTLS\r\n454 not now\r\n", REFUSED, "454 not now"),
    FAILS("smtp", "ask", "554 no\r\n", REFUSED, "554 no"),
    FAILS("smtp", "ask", "\x15\3\1\0\2\2\x32", AT_ONCE, "TLS begins at once there"),
    FAILS("ldap", "ask", "\x15\3\3\0\2\2\x32", AT_ONCE, "answers with a TLS alert"),
    FAILS("postgresql", "ask", "\x15\3\1\0\2\2\x46", AT_ONCE, "leave 'starttls' out"),
    FAILS("postgresql", "ask", "\x15\4", REFUSED, "does not answer the request for TLS"),
    FAILS("smtp", "answer", "\x15\3\1\0\2\2\x32\r\n", WRONG, "is not of this protocol"),
    FAILS("smtp", "ask", "* OK IMAP4rev1\r\n", WRONG,
          "a greeting of SMTP (220) is expected; the server said '* OK"),
    FAILS("smtp", "greet", "* OK IMAP4rev1\r\n", WRONG, "a greeting of SMTP"),
    FAILS("nntp", "ask", "220 mx\r\n", WRONG, "a greeting of NNTP"),
    FAILS("ftp", "ask", "* OK\r\n", WRONG, "a greeting of FTP"),
    FAILS("smtp", "ask", "220 m\0x\r\n", WRONG, "220 m\\x00x"),
    FAILS("smtp", "ask", "220 m\rx\r\n", WRONG, "not of this protocol"),
    SWITCHES("smtp", "answer", "EHLO c\r\nNOOP\r\nMAIL FROM:<a@example.com>\r\nstarttls\r\n",
             "220 door.example ESMTP\r\n250-door.example\r\n250 STARTTLS\r\n250 2.0.0 OK\r\n"
             "530 5.7.0 Must issue a STARTTLS command first\r\n220 2.0.0 Ready to start TLS\r\n"),
    ENDS("smtp", "answer", "HELO c\r\nSTARTTLS x\r\nQUIT\r\n", BYE,
         "220 door.example ESMTP\r\n250 door.example\r\n501 5.5.4 STARTTLS takes no parameters\r\n"
         "221 2.0.0 Bye\r\n"),
    PLAIN("smtp", "EHLO c\r\nMAIL FROM:<>\r\n",
          "220 door.example ESMTP\r\n250-door.example\r\n250 STARTTLS\r\n", "resume"),
    PLAIN("smtp", "MAIL FROM:<>\r\n", "220 door.example ESMTP\r\n", "greet"),
    FAILS("smtp", "answer", "EHLO a\rMAIL FROM:<>\r\n", WRONG, "not of this protocol"),
    ENDS("smtp", "greet", "220-a\r\n220 b\r\n", DONE, ""),
    FAILS("smtp", "greet", "421 busy\r\n", REFUSED, "421 busy"),
    ENDS("smtp", "resume", "220 b\r\n250-b\r\n250 X\r\n", DONE, "EHLO remembered\r\n"),
    ENDS("smtp", "identify", "220 b\r\n250-b\r\n250-XCLIENT ADDR PORT LOGIN\r\n250 X\r\n220 b\r\n", DONE,
         "EHLO door.example\r\nXCLIENT ADDR=192.0.2.7 PORT=1234 LOGIN=al+2Bi+20ce\r\n"),
    FAILS("smtp", "identify", "220 b\r\n250-b\r\n250 SIZE\r\n", MISSING, "XCLIENT"),
    /* lmtp */
    SWITCHES("lmtp", "ask", "220 mx LMTP\r\n250-mx\r\n250-STARTTLS\r\n250 8BITMIME\r\n220 go\r\n",
             "LHLO door.example\r\nSTARTTLS\r\n"),
    FAILS("lmtp", "ask", "220 mx\r\n250 PIPELINING\r\n", MISSING, "does not offer STARTTLS"),
    FAILS("lmtp", "ask", "220 mx\r\n250 STARTTLS\r\n454 no\r\n", REFUSED, "does not begin TLS"),
    FAILS("lmtp", "ask", "* OK imap\r\n", WRONG,
          "a greeting of LMTP (220) is expected; the server said '* OK imap'"),
    SWITCHES("lmtp", "answer", "LHLO c\r\nSTARTTLS\r\n",
             "220 door.example LMTP\r\n250-door.example\r\n250 STARTTLS\r\n220 2.0.0 Ready to start TLS\r\n"),
    PLAIN("lmtp", "LHLO c\r\nMAIL FROM:<>\r\n",
          "220 door.example LMTP\r\n250-door.example\r\n250 STARTTLS\r\n", "resume"),
    ENDS("lmtp", "greet", "220 b\r\n", DONE, ""),
    ENDS("lmtp", "resume", "220 b\r\n250 b\r\n", DONE, "EHLO remembered\r\n"),
    ENDS("lmtp", "identify", "220 b\r\n250 XCLIENT ADDR\r\n220 b\r\n", DONE,
         "LHLO door.example\r\nXCLIENT ADDR=192.0.2.7 PORT=1234 LOGIN=al+2Bi+20ce\r\n"),
    /* imap */
    SWITCHES("imap", "ask",
             "* OK [CAPABILITY IMAP4rev1] hi\r\n* CAPABILITY IMAP4rev1 STARTTLS ID\r\n* OK x\r\nc OK\r\n"
             "* OK y\r\ns OK begin\r\n",
             "c CAPABILITY\r\ns STARTTLS\r\n"),
    FAILS("imap", "ask", "* OK hi\r\n* CAPABILITY IMAP4rev1 XSTARTTLS\r\nc OK done\r\n", MISSING,
          "taken out on the way: IMAP4rev1 XSTARTTLS"),
    FAILS("imap", "ask", "* OK hi\r\nc OK done\r\n", MISSING, "or it was taken out on the way"),
    FAILS("imap", "ask", "* PREAUTH hi\r\n", REFUSED, "PREAUTH"),
    FAILS("imap", "ask", "* BYE\r\n", REFUSED, "* BYE"),
    FAILS("imap", "ask", "* OK hi\r\n* BYE gone\r\n", REFUSED, "takes leave"),
    FAILS("imap", "ask", "* OK\r\n* CAPABILITY STARTTLS\r\nc OK\r\ns NO tls\r\n", REFUSED, "s NO tls"),
    FAILS("imap", "ask", "220 mx ESMTP\r\n", WRONG,
          "greeting of IMAP (* OK) is expected; the server said '220 mx ESMTP'"),
    SWITCHES("imap", "answer", "a1 CAPABILITY\r\na2 ID NIL\r\na3 LOGIN u p\r\nnonsense\r\nA.4 StartTLS\r\n",
             "* OK door.example ready\r\n* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na1 OK done\r\n"
             "* ID NIL\r\na2 OK done\r\na3 NO [PRIVACYREQUIRED] begin TLS first: STARTTLS\r\n"
             "* BAD a tag and a command are expected\r\nA.4 OK begin TLS now\r\n"),
    ENDS("imap", "answer", "x LOGOUT\r\n", BYE,
         "* OK door.example ready\r\n* BYE until next time\r\nx OK done\r\n"),
    PLAIN("imap", "x CAPABILITY\r\ny LOGIN u p\r\n",
          "* OK door.example ready\r\n* CAPABILITY IMAP4rev1 STARTTLS\r\nx OK done\r\n", "greet"),
    FAILS("imap", "answer", "a\r* BYE NOOP\r\n", WRONG, "not of this protocol"),
    ENDS("imap", "greet", "* PREAUTH\r\n", DONE, ""),
    FAILS("imap", "greet", "* BYE\r\n", REFUSED, "* BYE"),
    /* pop3 */
    SWITCHES("pop3", "ask", "+OK <1@a>\r\n+OK list\r\nTOP\r\nSTLS\r\nUIDL\r\n.\r\n+OK\r\n",
             "CAPA\r\nSTLS\r\n"),
    SWITCHES("pop3", "ask", "+OK\r\n-ERR what\r\n+OK go\r\n", "CAPA\r\nSTLS\r\n"),
    FAILS("pop3", "ask", "+OK\r\n+OK\r\nTOP\r\n.\r\n", MISSING, "STLS"),
    FAILS("pop3", "ask", "+OK\r\n+OK\r\nSTLS\r\n.\r\n-ERR no\r\n", REFUSED, "-ERR no"),
    FAILS("pop3", "ask", "SSH-2.0-x\r\n", WRONG, "SSH-2.0-x"),
    SWITCHES("pop3", "answer", "CAPA\r\nUSER a\r\nSTLS\r\n",
             "+OK door.example ready\r\n+OK what can be done before TLS\r\nSTLS\r\n.\r\n"
             "-ERR begin TLS first: STLS\r\n+OK begin TLS now\r\n"),
    ENDS("pop3", "answer", "QUIT\r\n", BYE, "+OK door.example ready\r\n+OK bye\r\n"),
    PLAIN("pop3", "USER a\r\n", "+OK door.example ready\r\n", "greet"),
    ENDS("pop3", "greet", "+OK\r\n", DONE, ""),
    FAILS("pop3", "greet", "-ERR\r\n", REFUSED, "-ERR"),
    /* managesieve */
    SWITCHES("managesieve", "ask",
             "\"SASL\" \"\"\r\n\"StartTLS\"\r\n\"VERSION\" \"1.0\"\r\nOK \"hi\"\r\nOK\r\n", "STARTTLS\r\n"),
    FAILS("managesieve", "ask", "\"SASL\" \"PLAIN\"\r\n\"XSTARTTLS\"\r\nOK\r\n", MISSING, "STARTTLS"),
    FAILS("managesieve", "ask", "\"STARTTLS\"\r\nOK\r\nNO\r\n", REFUSED, "does not begin TLS"),
    FAILS("managesieve", "ask", "BYE \"busy\"\r\n", REFUSED, "BYE"),
    SWITCHES("managesieve", "answer", "AUTHENTICATE \"PLAIN\"\r\nSTARTTLS\r\n",
             SIEVE_OFFER "NO (ENCRYPT-NEEDED) \"begin TLS first: STARTTLS\"\r\nOK\r\n"),
    ENDS("managesieve", "answer", "CAPABILITY\r\nLOGOUT\r\n", BYE, SIEVE_OFFER SIEVE_OFFER "OK\r\n"),
    PLAIN("managesieve", "NOOP\r\nAUTHENTICATE \"PLAIN\"\r\n", SIEVE_OFFER "OK\r\n", "resume"),
    ENDS("managesieve", "resume", "\"SASL\" \"OK\"\r\nOK\r\n", DONE, ""),
    FAILS("managesieve", "resume", "BYE\r\n", REFUSED, "BYE"),
    /* nntp */
    SWITCHES("nntp", "ask", "201 hi\r\n101 list\r\nVERSION 2\r\nSTARTTLS\r\nOVER\r\n.\r\n382 go\r\n",
             "CAPABILITIES\r\nSTARTTLS\r\n"),
    SWITCHES("nntp", "ask",
             "200 hi\r\n101 a\r\nVERSION 2\r\nMODE-READER\r\n.\r\n200 b\r\n101 c\r\nSTARTTLS\r\n.\r\n382\r\n",
             "CAPABILITIES\r\nMODE READER\r\nCAPABILITIES\r\nSTARTTLS\r\n"),
    SWITCHES("nntp", "ask", "200 hi\r\n500 what\r\n382 go\r\n", "CAPABILITIES\r\nSTARTTLS\r\n"),
    FAILS("nntp", "ask", "200 hi\r\n101 a\r\nREADER\r\n.\r\n", MISSING, "STARTTLS"),
    FAILS("nntp", "ask", "200 hi\r\n101 a\r\nMODE-READER\r\n.\r\n200 b\r\n101 c\r\nMODE-READER\r\n.\r\n",
          MISSING, "STARTTLS"),
    FAILS("nntp", "ask", "200 hi\r\n101 a\r\nSTARTTLS\r\n.\r\n580 no\r\n", REFUSED, "580 no"),
    FAILS("nntp", "ask", "502 no\r\n", REFUSED, "502 no"),
    SWITCHES("nntp", "answer", "CAPABILITIES\r\nMODE READER\r\nGROUP a\r\nSTARTTLS\r\n",
             "200 door.example ready\r\n101 What can be done before TLS\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n"
             "200 door.example ready\r\n483 Begin TLS first: STARTTLS\r\n382 Begin TLS now\r\n"),
    ENDS("nntp", "answer", "QUIT\r\n", BYE, "200 door.example ready\r\n205 Bye\r\n"),
    PLAIN("nntp", "GROUP a\r\n", "200 door.example ready\r\n", "greet"),
    ENDS("nntp", "greet", "201 hi\r\n", DONE, ""),
    FAILS("nntp", "greet", "400 no\r\n", REFUSED, "400 no"),
    /* ftp */
    SWITCHES("ftp", "ask", "220 hi\r\n234 go\r\n", "AUTH TLS\r\n"),
    SWITCHES("ftp", "ask",
             "120 wait\r\n220-hi\r\nfree text\r\n 220 x\r\n220-more\r\n220 \r\n234-a\r\nb\r\n234\r\n",
             "AUTH TLS\r\n"),
    FAILS("ftp", "ask", "220\r\n502 what\r\n", MISSING, "AUTH TLS"),
    FAILS("ftp", "ask", "220\r\n431 no certificate\r\n", REFUSED, "431 no certificate"),
    FAILS("ftp", "ask", "421 busy\r\n", REFUSED, "421 busy"),
    ENDS("ftp", "settle", "200 a\r\n200 b\r\n", DONE, "PBSZ 0\r\nPROT C\r\n"),
    FAILS("ftp", "settle", "200 a\r\n536 no\r\n", REFUSED, "536 no"),
    FAILS("ftp", "settle", "503 no\r\n", REFUSED, "PBSZ"),
    SWITCHES(
        "ftp", "answer", "USER a\r\nAUTH KRB\r\nNOOP\r\nFEAT\r\nAUTH TLS\r\n",
        "220 door.example ready\r\n530 Begin TLS first: AUTH TLS\r\n504 AUTH TLS is what there is\r\n200 "
        "OK\r\n"
        "211-What can be done before TLS\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n211 End\r\n234 Begin TLS now\r\n"),
    ENDS("ftp", "answer", "QUIT\r\n", BYE, "220 door.example ready\r\n221 Bye\r\n"),
    PLAIN("ftp", "USER a\r\n", "220 door.example ready\r\n", "greet"),
    ENDS("ftp", "greet", "220-hi\r\nmore\r\n220 b\r\n", DONE, ""),
    FAILS("ftp", "greet", "530 no\r\n", REFUSED, "530 no"),
    /* irc */
    SWITCHES("irc", "ask", ":s NOTICE * :hi\r\nPING :x y\r\n:s 670 * :go\r\n", "STARTTLS\r\nPONG :x y\r\n"),
    FAILS("irc", "ask", ":s 421 * STARTTLS :Unknown command\r\n", MISSING, "does not know STARTTLS"),
    FAILS("irc", "ask", ":s 691 * :no\r\n", REFUSED, "691"),
    FAILS("irc", "ask", "ERROR :no\r\n", REFUSED, "ERROR :no"),
    SWITCHES("irc", "answer", "CAP LS 302\r\nNICK a\r\nSTARTTLS\r\n",
             ":door.example CAP * LS :tls\r\n:door.example 451 * :Begin TLS first: STARTTLS\r\n"
             ":door.example 670 * :STARTTLS successful, proceed with TLS handshake\r\n"),
    ENDS("irc", "answer", "PING :1\r\nQUIT\r\n", BYE, ":door.example PONG door.example :1\r\nERROR :bye\r\n"),
    PLAIN("irc", "CAP REQ :x\r\nNICK a\r\n", "", NULL),
    /* ldap */
    SWITCHES("ldap", "ask", "\x30\x0c\2\1\1\x78\7\x0a\1\0\4\0\4\0", "\x30\x1d\2\1\1\x77\x18\x80\x16" OID),
    SWITCHES("ldap", "ask",
             "\x30\x84\0\0\0\x2c\2\1\1\x78\x84\0\0\0\x23\x0a\1\0\4\0\4\0\x8a\x84\0\0\0\x16" OID,
             "\x30\x1d\2\1\1\x77\x18\x80\x16" OID),
    FAILS("ldap", "ask", "\x30\x0c\2\1\1\x78\7\x0a\1\2\4\0\4\0", MISSING, "protocolError"),
    FAILS("ldap", "ask", "\x30\x0c\2\1\1\x78\7\x0a\1\x35\4\0\4\0", MISSING, "unwillingToPerform"),
    FAILS("ldap", "ask", "\x30\x0c\2\1\1\x78\7\x0a\1\x0a\4\0\4\0", REFUSED, "referral"),
    FAILS("ldap", "ask", "\x30\x0c\2\1\1\x78\7\x0a\1\x34\4\0\4\0", REFUSED, "does not begin TLS"),
    FAILS("ldap", "ask", "\x30\x0c\2\1\0\x78\7\x0a\1\x34\4\0\4\0", REFUSED, "Notice of Disconnection"),
    FAILS("ldap", "ask", "\x30\x0c\2\1\2\x78\7\x0a\1\0\4\0\4\0", WRONG, "answer to StartTLS"),
    FAILS("ldap", "ask", "220 mx ESMTP and more text so that a whole element is there\r\n", WRONG,
          "answer to StartTLS"),
    FAILS("ldap", "ask", "\x30\x80", WRONG, "not of this protocol"),
    FAILS("ldap", "ask", "\x30\x85\0\0\0\0\1", WRONG, "not of this protocol"),
    FAILS("ldap", "ask", "\x30\x84\xff\xff\xff\xff", TOO_MUCH, "16384"),
    FAILS("ldap", "ask", "\x3f\x81", WRONG, "not of this protocol"),
    SWITCHES("ldap", "answer", "\x30\x1d\2\1\7\x77\x18\x80\x16" OID, "\x30\x0c\2\1\7\x78\7\x0a\1\0\4\0\4\0"),
    SWITCHES("ldap", "answer",
             "\x30\x84\0\0\0\x28\2\4\x7f\xff\xff\xff\x77\x84\0\0\0\x1c\x80\x84\0\0\0\x16" OID,
             "\x30\x0f\2\4\x7f\xff\xff\xff\x78\7\x0a\1\0\4\0\4\0"),
    SWITCHES("ldap", "answer",
             "\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0\x30\6\2\1\2\x50\1\1\x30\x1d\2\1\3\x77\x18\x80\x16" OID,
             "\x30\x0c\2\1\1\x61\7\x0a\1\x0d\4\0\4\0\x30\x0c\2\1\3\x78\7\x0a\1\0\4\0\4\0"),
    ENDS("ldap", "answer", "\x30\5\2\1\1\x42\0", BYE, ""),
    FAILS("ldap", "answer", "\x30\5\2\1\1\x59\0", WRONG, "request of LDAP"),
    FAILS("ldap", "answer", "\x30\5\4\1\1\x60\0", WRONG, "request of LDAP"),
    PLAIN("ldap", "\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0", "", NULL),
    /* xmpp */
    SWITCHES(
        "xmpp", "ask",
        XMPP_STREAM("client") "<stream:features> \n<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
                              "<mechanisms><mechanism>PLAIN it's</mechanism></mechanisms></stream:features>"
                              "<proceed xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"/>",
        XMPP_OPEN("client") XMPP_START),
    SWITCHES(
        "xmpp", "ask",
        XMPP_STREAM("client") "<stream:features><starttls xmlns='a'><required/></starttls></stream:features>"
                              "<proceed xmlns='a>b'></proceed>",
        XMPP_OPEN("client") XMPP_START),
    FAILS("xmpp", "ask", XMPP_STREAM("client") "<stream:features><mechanisms/></stream:features>", MISSING,
          "STARTTLS"),
    FAILS("xmpp", "ask", XMPP_STREAM("client") "<stream:features/>", MISSING, "STARTTLS"),
    FAILS("xmpp", "ask", XMPP_STREAM("client") "<stream:error>", REFUSED, "ends the stream"),
    FAILS("xmpp", "ask",
          XMPP_STREAM("client") "<stream:features><starttls/></stream:features><failure xmlns='a'/>", REFUSED,
          "does not begin TLS"),
    FAILS("xmpp", "ask", "HTTP/1.1 400 Bad Request\r\n", WRONG, "HTTP/1.1"),
    SWITCHES("xmpp", "answer", " <?xml version=\"1.0\"?>\n" XMPP_OPEN("client") " " XMPP_START,
             XMPP_OFFER("client", "db.example.com") XMPP_PROCEED),
    SWITCHES("xmpp", "answer", "<stream:stream to=\"a'b<c>&amp;\" x='y'><starttls xmlns='a'></starttls>",
             XMPP_OFFER("client", "a&apos;b&lt;c&gt;&amp;") XMPP_PROCEED),
    ENDS("xmpp", "answer", "<stream:stream to='a'></stream:stream>", BYE,
         XMPP_OFFER("client", "a") "</stream:stream>"),
    FAILS("xmpp", "answer", "<stream:stream version='1.0'>", WRONG, "to whom"),
    FAILS("xmpp", "answer", "<stream:stream to='a'><auth/>", WRONG, "TLS must begin first"),
    FAILS("xmpp", "answer", "EHLO a\r\n", WRONG, "a stream of XMPP is expected"),
    SWITCHES(
        "xmpp-server", "ask",
        XMPP_STREAM("server") "<stream:features><starttls xmlns='a'/></stream:features><proceed xmlns='a'/>",
        XMPP_OPEN("server") XMPP_START),
    FAILS("xmpp-server", "ask", XMPP_STREAM("server") "<stream:features></stream:features>", MISSING,
          "STARTTLS"),
    SWITCHES("xmpp-server", "answer", XMPP_OPEN("server") XMPP_START,
             XMPP_OFFER("server", "db.example.com") XMPP_PROCEED),
    FAILS("xmpp-server", "answer", "<html>", WRONG, "stream of XMPP"),
    /* postgresql */
    SWITCHES("postgresql", "ask", "S", "\0\0\0\x08\x04\xd2\x16\x2f"),
    FAILS("postgresql", "ask", "N", MISSING, "ssl = off"),
    FAILS("postgresql", "ask", "E", REFUSED, "'E'"),
    FAILS("postgresql", "ask", "s", REFUSED, "'s'"),
    SWITCHES("postgresql", "answer", "\0\0\0\x08\x04\xd2\x16\x30\0\0\0\x08\x04\xd2\x16\x2f", "NS"),
    ENDS("postgresql", "answer", "\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2", BYE, ""),
    ENDS("postgresql", "answer", "\0\0\0\x09\0\3\0\0\0", BYE,
         "E\0\0\0\x54"
         "SFATAL\0VFATAL\0C28000\0Mno connection without TLS: use sslmode=require or better\0\0"),
    PLAIN("postgresql", "\0\0\0\x09\0\3\0\0\0", "", NULL),
    FAILS("postgresql", "answer", "\0\0\0\0", WRONG, "not of this protocol"),
    FAILS("postgresql", "answer", "\0\0\0\3", WRONG, "not of this protocol"),
    FAILS("postgresql", "answer", "\xff\xff\xff\xff", TOO_MUCH, "16384"),
    FAILS("postgresql", "answer", "GET / HTTP/1.1\r\n", TOO_MUCH, "16384"),
    /* mysql */
    SWITCHES("mysql", "ask", MYSQL_GREETING("\xff"),
             "\x20\0\0\1\x85\xaa\x0f\0\0\0\0\1\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    FAILS("mysql", "ask", MYSQL_GREETING("\xf7"), MISSING, "CLIENT_SSL"),
    FAILS("mysql", "ask", "\x0a\0\0\0\xff\x15\4Blocked", REFUSED, "Blocked"),
    FAILS("mysql", "ask", "\1\0\0\0\x09", WRONG, "protocol 10"),
    FAILS("mysql", "ask", "\0\0\0\0", WRONG, "protocol 10"),
    FAILS("mysql", "ask", "\xff\xff\xff\0", TOO_MUCH, "16384"),
    FAILS("mysql", "ask", "220 mx", TOO_MUCH, "16384"),
    /* telnet */
    SWITCHES("telnet", "ask",
             "\xff\xfd\x18\xff\xfb\1\xff\xf1\xff\xfd\x2e\xff\xfd\1\xff\xfa\x18\1\xff\xff\xf0\xff\xf0\xff\xfa"
             "\x2e\1\xff\xf0",
             "\xff\xfb\x2e\xff\xfa\x2e\1\xff\xf0"),
    FAILS("telnet", "ask", "login: ", MISSING, "START_TLS"),
    FAILS("telnet", "ask", "\xff\xfe\x2e", MISSING, "does not want START_TLS"),
    FAILS("telnet", "ask", "\xff\xfd\x2el", REFUSED, "does not begin TLS"),
    SWITCHES("telnet", "answer", "\xff\xfd\1\xff\xfb\x2e\xff\xfb\x1f\xff\xfa\x2e\1\xff\xf0",
             "\xff\xfd\x2e\xff\xfa\x2e\1\xff\xf0"),
    ENDS("telnet", "answer", "\xff\xfc\x2e", BYE, "\xff\xfd\x2eTLS must begin first (START_TLS)\r\n"),
    ENDS("telnet", "answer", "ls", BYE, "\xff\xfd\x2eTLS must begin first (START_TLS)\r\n"),
    FAILS("telnet", "answer", "\xff\xfb\x2ex", WRONG, "FOLLOWS"),
    PLAIN("telnet", "\xff\xfc\x2e", "\xff\xfd\x2e", NULL),
    PLAIN("telnet", "ls", "\xff\xfd\x2e", NULL),
    /* rdp */
    SWITCHES("rdp", "ask", "\3\0\0\x13\x0e\xd0\0\0\x12\x34\0\2\x1f\x08\0\2\0\0\0",
             "\3\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0"),
    SWITCHES("rdp", "ask", "\3\0\0\x13\x0e\xd0\0\0\x12\x34\0\2\0\x08\0\1\0\0\0",
             "\3\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0"),
    FAILS("rdp", "ask", "\3\0\0\x13\x0e\xd0\0\0\x12\x34\0\3\0\x08\0\2\0\0\0", MISSING, "does not do TLS"),
    FAILS("rdp", "ask", "\3\0\0\x0b\6\xd0\0\0\x12\x34\0", MISSING, "taken out on the way"),
    FAILS("rdp", "ask", "\3\0\0\0", WRONG, "not of this protocol"),
    FAILS("rdp", "ask", "\3\0\xff\xff", TOO_MUCH, "16384"),
    FAILS("rdp", "ask", "\3\0\0\5x", WRONG, "X.224"),
};

struct outcome {
    enum starttls_status status;
    enum starttls_failure failure;
    int onward;
    size_t used;
    struct buf say;
    char text[512];
};

static struct starttls_run *begin(const char *protocol, const char *section, bool required, struct buf *say)
{
    const struct starttls *p = starttls_builtin(protocol);
    assert_non_null(p);
    struct starttls_run *r = starttls_run_new(p);
    static const struct {
        const char *var;
        struct str value;
    } vars[] = {{"me", {B("door.example")}},      {"name", {B("db.example.com")}}, {"addr", {B("192.0.2.7")}},
                {"literal", {B("192.0.2.7")}},    {"port", {B("1234")}},           {"user", {B("al+i ce")}},
                {"hello", {B("EHLO remembered")}}};
    for (size_t i = 0; i < ARRAY_LEN(vars); i++)
        if (strcmp(vars[i].var, "hello") != 0 || strcmp(section, "resume") == 0)
            assert_true(starttls_run_set(r, vars[i].var, vars[i].value));
    assert_true(!required || starttls_run_set(r, "required", (struct str){B("yes")}));
    int n = starttls_section_named(p, section);
    assert_true(n >= 0);
    starttls_run_begin(r, n, say);
    return r;
}

/* The peer's bytes come in pieces: the first of `first` bytes, the others of `each`. */
static void play(const struct row *row, const char *in, size_t len, size_t first, size_t each,
                 struct outcome *ret)
{
    *ret = (struct outcome){.status = STARTTLS_MORE};
    struct starttls_run *r = begin(row->protocol, row->section, row->required, &ret->say);
    for (size_t come = MIN(first, len); ret->status == STARTTLS_MORE; come = MIN(come + each, len)) {
        size_t n = come - ret->used, used;
        uint8_t *exact = malloc(n > 0 ? n : 1); /* so that a sanitizer sees what is read past the end */
        assert_non_null(exact);
        memcpy(exact, in + ret->used, n);
        ret->status = starttls_run_step(r, exact, n, &used, &ret->say);
        free(exact);
        assert_true(used <= n);
        ret->used += used;
        if (come == len)
            break;
    }
    ret->failure = starttls_run_failure(r);
    ret->onward = starttls_run_onward(r);
    snprintf(ret->text, sizeof(ret->text), "%s", starttls_run_text(r));
    starttls_run_free(r);
}

static void check(const struct row *row, const struct outcome *o)
{
    const struct starttls *p = starttls_builtin(row->protocol);
    if (o->status != row->status || o->failure != row->failure)
        fail_msg("%s %s '%s': status %d, failure %d, '%s'", row->protocol, row->section, row->in, o->status,
                 o->failure, o->text);
    if (row->say != NULL && (o->say.len != row->say_len ||
                             (row->say_len > 0 && memcmp(o->say.data, row->say, row->say_len) != 0)))
        fail_msg("%s %s '%s': said '%.*s'", row->protocol, row->section, row->in, (int)o->say.len,
                 o->say.data);
    if (row->status == STARTTLS_FAILED &&
        (strstr(o->text, row->text) == NULL || strstr(o->text, row->protocol) == NULL))
        fail_msg("%s %s '%s': the text is '%s'", row->protocol, row->section, row->in, o->text);
    if (strcmp(row->section, "answer") == 0 && strstr(o->text, " said ") != NULL)
        fail_msg("%s '%s': a client's words, maybe a password, are told: '%s'", row->protocol, row->in,
                 o->text);
    if (row->status == STARTTLS_PLAIN)
        assert_int_equal(o->onward, row->text == NULL ? -1 : starttls_section_named(p, row->text));
}

static void dialogues_end_as_they_should_however_bytes_come(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct outcome whole, o;
        play(&rows[i], rows[i].in, rows[i].len, rows[i].len, 1, &whole);
        check(&rows[i], &whole);
        for (size_t cut = 0; cut <= rows[i].len; cut++) {
            play(&rows[i], rows[i].in, rows[i].len, cut, cut == 0 ? 1 : rows[i].len, &o);
            check(&rows[i], &o);
            assert_int_equal(o.say.len, whole.say.len);
            assert_true(o.say.len == 0 || memcmp(o.say.data, whole.say.data, o.say.len) == 0);
            assert_int_equal(o.used, whole.used);
            buf_free(&o.say);
        }
        if (rows[i].status == STARTTLS_SWITCH || rows[i].status == STARTTLS_DONE)
            assert_int_equal(whole.used, rows[i].len);
        buf_free(&whole.say);
    }
}

/* Before its last byte no dialogue that comes to TLS has come to it. */
static void tls_begins_at_the_last_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct outcome o;
        if (rows[i].status != STARTTLS_SWITCH)
            continue;
        play(&rows[i], rows[i].in, rows[i].len - 1, rows[i].len, 1, &o);
        assert_int_equal(o.status, STARTTLS_MORE);
        buf_free(&o.say);
    }
}

static void what_stands_behind_the_switch_is_injected(void **state)
{
    (void)state;
    static const char *const behind[] = {"\r\n", "x", "MAIL FROM:<a@example.com>\r\n", "\x16\3\1"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < ARRAY_LEN(behind) && rows[i].status == STARTTLS_SWITCH; k++) {
            struct buf in = {0};
            struct outcome o;
            assert_true(buf_append(&in, rows[i].in, rows[i].len) &&
                        buf_append(&in, behind[k], strlen(behind[k])));
            play(&rows[i], (const char *)in.data, in.len, in.len, 1, &o);
            if (o.failure != STARTTLS_INJECTED)
                fail_msg("%s %s '%s': status %d", rows[i].protocol, rows[i].section, rows[i].in, o.status);
            assert_non_null(strstr(o.text, "in the clear where TLS was to begin"));
            buf_free(&o.say);
            buf_free(&in);
        }
    }
}

/* Whatever is said for ever, it ends. */
static void nothing_is_listened_to_for_ever(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        size_t len;
    } endless[] = {{B("a")},           {B("\0")},
                   {B("\xff")},        {B("\r\n")},
                   {B("* x\r\n")},     {B("220-x\r\n")},
                   {B("NOOP\r\n")},    {B("<a>")},
                   {B("<a b='")},      {B("x ")},
                   {B("\xff\xfd\1")},  {B("\xff\xfa")},
                   {B("PING :x\r\n")}, {B("\0\0\0\x08\x04\xd2\x16\x30")},
                   {B(" ")},           {B("\x30\6\2\1\2\x50\1\1")},
                   {B("250-x\r\n")},   {B("+OK\r\n")}};
    struct buf in = {0};
    for (const char *const *name = starttls_builtin_names(); *name != NULL; name++) {
        static const char *const sections[] = {"ask", "answer", "greet", "settle", "resume", "identify"};
        for (size_t k = 0; k < ARRAY_LEN(sections) * ARRAY_LEN(endless); k++) {
            struct row row = {
                .protocol = *name, .section = sections[k % ARRAY_LEN(sections)], .required = true};
            size_t e = k / ARRAY_LEN(sections);
            struct outcome o;
            if (starttls_section_named(starttls_builtin(*name), row.section) < 0)
                continue;
            for (in.len = 0; in.len < 2 * STARTTLS_BYTES_MAX;)
                assert_true(buf_append(&in, endless[e].what, endless[e].len));
            play(&row, (const char *)in.data, in.len, 4096, 4096, &o);
            if (o.status == STARTTLS_MORE)
                fail_msg("%s %s goes on for ever with '%s'", row.protocol, row.section, endless[e].what);
            assert_true(o.used <= STARTTLS_BYTES_MAX);
            buf_free(&o.say);
        }
    }
    buf_free(&in);
}

/* After units without end the text says that it was too much. */
static void there_are_so_many_units_and_no_more(void **state)
{
    (void)state;
    static const struct row bounds[] = {
        {"smtp", "ask", true, B("220-x\r\n"), 0, 0, NULL, 0, NULL},
        {"smtp", "answer", true, B("NOOP\r\n"), 0, 0, NULL, 0, NULL},
        {"irc", "ask", true, B("PING :x\r\n"), 0, 0, NULL, 0, NULL},
        {"telnet", "ask", true, B("\xff\xfd\1"), 0, 0, NULL, 0, NULL},
        {"telnet", "answer", true, B("\xff\xfd\1"), 0, 0, NULL, 0, NULL},
        {"postgresql", "answer", true, B("\0\0\0\x08\x04\xd2\x16\x30"), 0, 0, NULL, 0, NULL},
        {"ldap", "answer", true, B("\x30\6\2\1\2\x50\1\1"), 0, 0, NULL, 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        struct buf in = {0};
        struct outcome o;
        for (size_t k = 0; k < STARTTLS_UNITS_MAX; k++)
            assert_true(buf_append(&in, bounds[i].in, bounds[i].len));
        play(&bounds[i], (const char *)in.data, in.len, in.len, 1, &o);
        assert_int_equal(o.status, STARTTLS_MORE);
        buf_free(&o.say);
        assert_true(buf_append(&in, bounds[i].in, bounds[i].len));
        play(&bounds[i], (const char *)in.data, in.len, in.len, 1, &o);
        assert_int_equal(o.failure, STARTTLS_TOO_MUCH);
        buf_free(&o.say);
        buf_free(&in);
    }
}

/* A client without TLS gets the greeting that its server gave us. */
static void the_greeting_is_handed_on(void **state)
{
    (void)state;
    static const struct {
        const char *protocol, *in, *welcome;
    } greetings[] = {
        {"smtp", "220-a\r\n220 b\r\n250 STARTTLS\r\n", "220-a\r\n220 b\r\n"},
        {"ftp", "220-a\r\nb\r\n220 c\r\n", "220-a\r\nb\r\n220 c\r\n"},
        {"pop3", "+OK <1.2@mx.example>\r\n", "+OK door.example ready\r\n"},
        {"nntp", "201 a\r\n101 b\r\nMODE-READER\r\n.\r\n200 c\r\n", "200 c\r\n"},
        {"imap", "* OK [CAPABILITY X] a\r\n", "* OK door.example ready\r\n"},
        {"managesieve", "\"A\"\r\n", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(greetings); i++) {
        struct buf say = {0}, welcome = {0};
        size_t used;
        struct starttls_run *r = begin(greetings[i].protocol, "ask", true, &say);
        starttls_run_step(r, (const uint8_t *)greetings[i].in, strlen(greetings[i].in), &used, &say);
        starttls_run_welcome(r, &welcome);
        assert_string_equal(buf_text(&welcome), greetings[i].welcome);
        starttls_run_free(r);
        buf_free(&say);
        buf_free(&welcome);
    }
}

/* What a client has said to us only is said for it, once its server is reached. */
static void a_server_hears_what_it_missed(void **state)
{
    (void)state;
    static const struct {
        const char *protocol, *client, *section, *server, *said;
    } cases[] = {
        {"nntp", "MODE READER\r\nSTARTTLS\r\n", "greet", "200 a\r\n200 b\r\n", "MODE READER\r\n"},
        {"smtp", "EHLO c.example\r\nMAIL FROM:<>\r\n", "resume", "220 a\r\n250 b\r\n", "EHLO c.example\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf say = {0};
        size_t used;
        struct starttls_run *r = begin(cases[i].protocol, "answer", false, &say);
        starttls_run_step(r, (const uint8_t *)cases[i].client, strlen(cases[i].client), &used, &say);
        buf_free(&say);
        starttls_run_begin(r, starttls_section_named(starttls_builtin(cases[i].protocol), cases[i].section),
                           &say);
        assert_int_equal(
            starttls_run_step(r, (const uint8_t *)cases[i].server, strlen(cases[i].server), &used, &say),
            STARTTLS_DONE);
        assert_string_equal(buf_text(&say), cases[i].said);
        starttls_run_free(r);
        buf_free(&say);
    }
}

/* A value with a line's end in it does not become two lines. */
static void a_value_cannot_add_a_line(void **state)
{
    (void)state;
    static const char *const values[] = {"a\r\nRCPT TO:<b>", "a\nb", "a\rb"};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct buf say = {0};
        size_t used;
        const struct starttls *p = starttls_builtin("smtp");
        struct starttls_run *r = starttls_run_new(p);
        assert_true(starttls_run_set(r, "me", (struct str){values[i], strlen(values[i])}));
        starttls_run_begin(r, starttls_section_named(p, "ask"), &say);
        assert_int_equal(starttls_run_step(r, (const uint8_t *)B("220 a\r\n"), &used, &say), STARTTLS_FAILED);
        assert_int_equal(starttls_run_failure(r), STARTTLS_WRONG);
        assert_int_equal(say.len, 0);
        starttls_run_free(r);
        buf_free(&say);
    }
}

#define WHY "service not available now"
#define LDAP_RESULT "\x0a\1\x34\4\0\4\x19" WHY
#define LDAP_NOTICE                                 \
    "\x30\x3d\2\1\0\x78\x38" LDAP_RESULT "\x8a\x16" \
    "1.3.6.1.4.1.1466.20036"
#define PG_SORRY "E\0\0\0\x35SFATAL\0VFATAL\0C57P03\0M" WHY "\0\0"
#define PG_STARTUP "\0\0\0\x10\0\3\0\0user\0a\0\0"
#define XMPP_SORRY(ns, from)                                                                        \
    "<?xml version='1.0'?><stream:stream " from "id='cardea' version='1.0' xmlns='jabber:" ns       \
    "' xmlns:stream='http://etherx.jabber.org/streams'><stream:error>"                              \
    "<remote-connection-failed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"                       \
    "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>" WHY "</text></stream:error>" \
    "</stream:stream>"

/* What a client says before it is turned away, and what it hears. */
static const struct turned_away {
    const char *protocol;
    bool greeted;
    struct str in;
    enum starttls_status status;
    struct str say;
} turned_away[] = {
    {"smtp", false, {B("")}, STARTTLS_BYE, {B("421 4.3.2 door.example " WHY "\r\n")}},
    {"smtp", true, {B("EHLO c\r\n")}, STARTTLS_BYE, {B("421 4.3.2 door.example " WHY "\r\n")}},
    {"lmtp", false, {B("")}, STARTTLS_BYE, {B("421 4.3.2 door.example " WHY "\r\n")}},
    {"imap", false, {B("")}, STARTTLS_BYE, {B("* BYE [UNAVAILABLE] " WHY "\r\n")}},
    {"pop3", false, {B("")}, STARTTLS_BYE, {B("-ERR [SYS/TEMP] " WHY "\r\n")}},
    {"nntp", false, {B("")}, STARTTLS_BYE, {B("400 " WHY "\r\n")}},
    {"ftp", false, {B("")}, STARTTLS_BYE, {B("421 " WHY "\r\n")}},
    {"managesieve", false, {B("")}, STARTTLS_BYE, {B("BYE (TRYLATER) \"" WHY "\"\r\n")}},
    {"irc", false, {B("")}, STARTTLS_BYE, {B("ERROR :" WHY "\r\n")}},
    /* ldap: a bind, a search, an unbind, an abandon, what is no request, what is no LDAP */
    {"ldap",
     false,
     {B("\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0")},
     STARTTLS_BYE,
     {B("\x30\x25\2\1\1\x61\x20" LDAP_RESULT LDAP_NOTICE)}},
    {"ldap",
     false,
     {B("\x30\7\2\2\1\2\x63\1\0")},
     STARTTLS_BYE,
     {B("\x30\x26\2\2\1\2\x65\x20" LDAP_RESULT LDAP_NOTICE)}},
    {"ldap", false, {B("\x30\5\2\1\1\x42\0")}, STARTTLS_BYE, {B("")}},
    {"ldap", false, {B("\x30\6\2\1\2\x50\1\1")}, STARTTLS_BYE, {B(LDAP_NOTICE)}},
    {"ldap", false, {B("\x04\1x")}, STARTTLS_BYE, {B(LDAP_NOTICE)}},
    {"ldap", false, {B("\x30\x80\0\0")}, STARTTLS_FAILED, {B("")}},
    {"ldap", false, {B("")}, STARTTLS_MORE, {B("")}},
    /* postgresql: with and without questions for encryption, a CancelRequest, nonsense */
    {"postgresql", false, {B(PG_STARTUP)}, STARTTLS_BYE, {B(PG_SORRY)}},
    {"postgresql",
     false,
     {B("\0\0\0\x8\x4\xd2\x16\x30\0\0\0\x8\x4\xd2\x16\x2f" PG_STARTUP)},
     STARTTLS_BYE,
     {B("NN" PG_SORRY)}},
    {"postgresql", false, {B("\0\0\0\x10\x4\xd2\x16\x2e\0\0\0\1\0\0\0\2")}, STARTTLS_BYE, {B("")}},
    {"postgresql", false, {B("GET / HTTP/1.1\r\n")}, STARTTLS_FAILED, {B("")}},
    /* mysql: before a greeting, behind it, behind SSLRequest and TLS, and out of order */
    {"mysql", false, {B("")}, STARTTLS_BYE, {B("\x1c\0\0\0\xff\x1d\4" WHY)}},
    {"mysql", true, {B("\2\0\0\1ab")}, STARTTLS_BYE, {B("\x22\0\0\2\xff\x1d\4#08S01" WHY)}},
    {"mysql", true, {B("\2\0\0\2ab")}, STARTTLS_BYE, {B("\x22\0\0\3\xff\x1d\4#08S01" WHY)}},
    {"mysql", true, {B("\2\0\0\7ab")}, STARTTLS_BYE, {B("")}},
    {"mysql", true, {B("\xff\xff\xff\1")}, STARTTLS_FAILED, {B("")}},
    {"xmpp",
     false,
     {B(XMPP_OPEN("client"))},
     STARTTLS_BYE,
     {B(XMPP_SORRY("client", "from='db.example.com' "))}},
    {"xmpp", false, {B("<a/>")}, STARTTLS_BYE, {B(XMPP_SORRY("client", ""))}},
    {"xmpp",
     false,
     {B("<stream:stream to=\"a'b<c\">")},
     STARTTLS_BYE,
     {B(XMPP_SORRY("client", "from='a&apos;b&lt;c' "))}},
    {"xmpp-server",
     false,
     {B(XMPP_OPEN("server"))},
     STARTTLS_BYE,
     {B(XMPP_SORRY("server", "from='db.example.com' "))}},
};

static void turn_away(const struct turned_away *row, size_t piece)
{
    struct buf say = {0};
    size_t used = 0, done = 0;
    const struct starttls *p = starttls_builtin(row->protocol);
    struct starttls_run *r = starttls_run_new(p);
    assert_true(starttls_run_set(r, "me", (struct str){B("door.example")}));
    assert_true(starttls_run_set(r, "why", (struct str){B(WHY)}));
    assert_true(starttls_run_set(r, "greeted", (struct str){"yes", row->greeted ? 3 : 0}));
    starttls_run_begin(r, starttls_section(p, STARTTLS_UNAVAILABLE), &say);
    enum starttls_status status = starttls_run_step(r, NULL, 0, &used, &say);
    for (size_t come = piece; status == STARTTLS_MORE && done < row->in.len; come += piece) {
        status = starttls_run_step(r, (const uint8_t *)row->in.p + done, MIN(come, row->in.len) - done, &used,
                                   &say);
        done += used;
        if (come >= row->in.len)
            break;
    }
    if (status != row->status || say.len != row->say.len ||
        (say.len > 0 && memcmp(say.data, row->say.p, say.len) != 0))
        fail_msg("%s, row %td: status %d, said %zu bytes: '%.*s'", row->protocol, row - turned_away, status,
                 say.len, (int)say.len, say.data);
    starttls_run_free(r);
    buf_free(&say);
}

static void a_client_hears_that_there_is_no_server(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(turned_away); i++)
        for (size_t piece = 1; piece <= turned_away[i].in.len + 1; piece++)
            turn_away(&turned_away[i], piece);
    for (const char *const *name = starttls_builtin_names(); *name != NULL; name++)
        if (strcmp(*name, "telnet") != 0 && strcmp(*name, "rdp") != 0)
            assert_true(starttls_section(starttls_builtin(*name), STARTTLS_UNAVAILABLE) >= 0);
}

static void ports_and_who_speaks_first(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint16_t port;
        bool server_first;
    } known[] = {{"ftp", 21, true},           {"imap", 143, true},   {"irc", 6667, false},
                 {"ldap", 389, false},        {"lmtp", 24, true},    {"managesieve", 4190, true},
                 {"mysql", 3306, true},       {"nntp", 119, true},   {"pop3", 110, true},
                 {"postgresql", 5432, false}, {"rdp", 3389, false},  {"smtp", 25, true},
                 {"telnet", 23, true},        {"xmpp", 5222, false}, {"xmpp-server", 5269, false}};
    const char *const *names = starttls_builtin_names();
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        assert_string_equal(names[i], known[i].name);
        const struct starttls *p = starttls_builtin(names[i]);
        assert_string_equal(starttls_name(p), known[i].name);
        assert_int_equal(starttls_port(p), known[i].port);
        int answer = starttls_section_named(p, "answer");
        if (answer >= 0)
            assert_int_equal(starttls_speaks_first(p, answer), known[i].server_first);
    }
    assert_null(names[ARRAY_LEN(known)]);
    assert_null(starttls_builtin("gopher"));
    assert_ptr_equal(starttls_builtin("submission"), starttls_builtin("smtp"));
}

/* Of the others an end without close_notify is one that somebody may have made. */
static void premature_closes(void **state)
{
    (void)state;
    static const char *const known[] = {"ftp", "lmtp", "managesieve", "mysql", "smtp"};
    size_t n = 0;
    for (const char *const *name = starttls_builtin_names(); *name != NULL; name++) {
        bool is_known = n < ARRAY_LEN(known) && strcmp(*name, known[n]) == 0;
        assert_int_equal(starttls_closes_premature(starttls_builtin(*name)), is_known);
        n += is_known;
    }
    assert_int_equal(n, ARRAY_LEN(known));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialogues_end_as_they_should_however_bytes_come),
        cmocka_unit_test(tls_begins_at_the_last_byte),
        cmocka_unit_test(what_stands_behind_the_switch_is_injected),
        cmocka_unit_test(nothing_is_listened_to_for_ever),
        cmocka_unit_test(there_are_so_many_units_and_no_more),
        cmocka_unit_test(the_greeting_is_handed_on),
        cmocka_unit_test(a_server_hears_what_it_missed),
        cmocka_unit_test(a_value_cannot_add_a_line),
        cmocka_unit_test(a_client_hears_that_there_is_no_server),
        cmocka_unit_test(ports_and_who_speaks_first),
        cmocka_unit_test(premature_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

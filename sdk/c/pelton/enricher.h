/* The world `enricher`: a plugin says what to ask, the host asks, and the plugin makes rows of the answers. Include it in one file of the plugin.
 *
 * The rule: a record's row number in a response is that of the batch it comes with; what a plugin must remember between the two travels in `cookie`.
 * Left to others: addresses and credentials, which the job file gives to a connector's name. */
#ifndef PELTON_ENRICHER_H
#define PELTON_ENRICHER_H

#include <pelton/pelton.h>

typedef struct {
    pelton_text name, value;
} pelton_header;
PELTON_LIST(pelton_headers, pelton_header);

typedef struct {
    uint32_t row;
    pelton_text cookie, connector, method, path;
    pelton_headers headers;
    pelton_text body;
} pelton_request;
PELTON_LIST(pelton_requests, pelton_request);

enum { PELTON_ANSWERED, PELTON_FAILED, PELTON_TIMED_OUT };

typedef struct {
    uint32_t row;
    pelton_text cookie;
    uint8_t outcome;
    union {
        struct {
            uint16_t status;
            pelton_headers headers;
            pelton_text body;
        } answer;
        pelton_text failure;
    };
} pelton_response;
PELTON_LIST(pelton_responses, pelton_response);

/* Requests that are collected; room grows by doubling. */
typedef struct {
    pelton_requests list;
    uint32_t room;
} pelton_asked;

/* A request to be filled: its row, connector, method and path are set. */
static inline pelton_request *pelton_ask(pelton_asked *asked, uint32_t row, const char *connector, const char *method, pelton_text path) {
    if (asked->list.length == asked->room) {
        pelton_request *old = asked->list.at;
        asked->room = asked->room * 2 + 8;
        asked->list.at = pelton_alloc(asked->room * sizeof *old);
        memcpy(asked->list.at, old, asked->list.length * sizeof *old);
    }
    pelton_request *request = &asked->list.at[asked->list.length++];
    *request = (pelton_request){.row = row, .connector = pelton_str(connector), .method = pelton_str(method), .path = path};
    return request;
}

/* A text as it may stand in a path. */
static inline pelton_text pelton_percent(pelton_text text) {
    static const char digits[] = "0123456789ABCDEF";
    char *at = pelton_alloc(text.length * 3);
    uint32_t length = 0;
    for (uint32_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            at[length++] = (char)c;
        } else {
            at[length++] = '%';
            at[length++] = digits[c >> 4];
            at[length++] = digits[c & 15];
        }
    }
    return (pelton_text){at, length};
}

void plugin_prepare(const pelton_batch *in, pelton_asked *asked);
/* Makes rows of the answers; what it asks here is another round for those records. */
void plugin_complete(const pelton_batch *in, const pelton_responses *responses, pelton_asked *further, pelton_out *out);

typedef struct {
    pelton_batch batch;
    pelton_responses responses;
} pelton_complete_input;

PELTON_EXPORT("pelton:plugin/enrich@0.1.0#prepare")
pelton_result *pelton_export_prepare(const pelton_batch *in) {
    pelton_asked asked = {0};
    plugin_prepare(in, &asked);
    pelton_result *result = pelton_alloc(sizeof *result);
    result->list.at = asked.list.at;
    result->list.length = asked.list.length;
    return result;
}
PELTON_EXPORT("cabi_post_pelton:plugin/enrich@0.1.0#prepare")
void pelton_post_prepare(void *result) {
    (void)result;
    pelton_release();
}

PELTON_EXPORT("pelton:plugin/enrich@0.1.0#complete")
pelton_result *pelton_export_complete(const pelton_complete_input *in) {
    pelton_asked further = {0};
    pelton_out *out = pelton_begin(in->batch.count);
    plugin_complete(&in->batch, &in->responses, &further, out);
    pelton_result *result = pelton_finish(out);
    if (result->tag) return result;
    result->completed.further.at = further.list.at;
    result->completed.further.length = further.list.length;
    return result;
}
PELTON_EXPORT("cabi_post_pelton:plugin/enrich@0.1.0#complete")
void pelton_post_complete(void *result) {
    (void)result;
    pelton_release();
}

#endif

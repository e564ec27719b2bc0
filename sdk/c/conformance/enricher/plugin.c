/* The plugin `enricher` of the conformance suite: see sdk/conformance/README.md. */
#include <pelton/enricher.h>

enum { OP, NAME, VALUE };

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    (void)config;
    pelton_name(m, "conformance", "0.1.0", "does what a record's op says");
    pelton_input(m, "in", 0);
    pelton_field(m, "op", PELTON_TEXT);
    pelton_field(m, "name", PELTON_TEXT | PELTON_OPTIONAL);
    pelton_field(m, "value", PELTON_INT64 | PELTON_OPTIONAL);
    pelton_output(m, "out", 0);
    pelton_field(m, "name", PELTON_TEXT | PELTON_OPTIONAL);
    pelton_field(m, "status", PELTON_INT32 | PELTON_OPTIONAL);
    pelton_field(m, "text", PELTON_TEXT | PELTON_OPTIONAL);
    pelton_field(m, "rounds", PELTON_INT32);
    pelton_connector(m, "scores", "who knows scores");
    return NULL;
}

const char *plugin_init(const pelton_context *context) {
    (void)context;
    return NULL;
}

static pelton_text path(pelton_text name) { return pelton_concat(pelton_str("/scores/"), pelton_percent(name)); }

/* A text in quotes, as JSON has it. */
static pelton_text quoted(pelton_text text) {
    static const char digits[] = "0123456789abcdef";
    char *at = pelton_alloc(text.length * 6 + 2);
    uint32_t length = 0;
    at[length++] = '"';
    for (uint32_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < 0x20) {
            memcpy(at + length, "\\u00", 4);
            at[length + 4] = digits[c >> 4];
            at[length + 5] = digits[c & 15];
            length += 6;
        } else {
            if (c == '"' || c == '\\') at[length++] = '\\';
            at[length++] = (char)c;
        }
    }
    at[length++] = '"';
    return (pelton_text){at, length};
}

static void post(const pelton_batch *in, uint32_t row, pelton_asked *asked) {
    static const char type[] = "content-type", json[] = "application/json";
    pelton_request *request = pelton_ask(asked, row, "scores", "POST", pelton_str("/scores"));
    pelton_header *header = pelton_alloc(sizeof *header);
    *header = (pelton_header){pelton_str(type), pelton_str(json)};
    request->headers = (pelton_headers){header, 1};
    pelton_text name = pelton_is_null(in, NAME, row) ? pelton_str("null") : quoted(pelton_get_text(in, NAME, row));
    pelton_text value = pelton_is_null(in, VALUE, row) ? pelton_str("null") : pelton_from_int(pelton_int64(in, VALUE, row));
    pelton_text body = pelton_concat(pelton_concat(pelton_str("{\"name\":"), name), pelton_concat(pelton_str(",\"value\":"), value));
    request->body = pelton_concat(body, pelton_str("}"));
}

void plugin_prepare(const pelton_batch *in, pelton_asked *asked) {
    PELTON_EACH(row, in) {
        pelton_text op = pelton_get_text(in, OP, row);
        if (pelton_is(op, "ask") || pelton_is(op, "twice")) pelton_ask(asked, row, "scores", "GET", path(pelton_get_text(in, NAME, row)));
        else if (pelton_is(op, "post")) post(in, row, asked);
    }
}

static void emit(const pelton_batch *in, uint32_t row, const int32_t *status, const pelton_text *text, int32_t rounds, pelton_out *out) {
    pelton_emit(out, 0, row);
    pelton_put_field(out, in, NAME, row);
    if (status) pelton_put_int32(out, *status);
    else pelton_put_null(out);
    if (text) pelton_put_text(out, *text);
    else pelton_put_null(out);
    pelton_put_int32(out, rounds);
}

static void answered(const pelton_batch *in, const pelton_response *response, pelton_asked *further, pelton_out *out) {
    uint32_t row = response->row;
    int32_t status = response->answer.status, rounds = response->cookie.length ? 2 : 1;
    if (response->outcome == PELTON_TIMED_OUT) {
        pelton_text text = pelton_str("timed out");
        emit(in, row, NULL, &text, rounds, out);
    } else if (response->outcome == PELTON_FAILED) {
        pelton_text text = pelton_concat(pelton_str("failed: "), response->failure);
        emit(in, row, NULL, &text, rounds, out);
    } else if (rounds == 1 && status == 200 && pelton_is(pelton_get_text(in, OP, row), "twice")) {
        /* The cookie says that this is the second round. */
        pelton_ask(further, row, "scores", "GET", path(response->answer.body))->cookie = pelton_str("2");
    } else {
        emit(in, row, &status, &response->answer.body, rounds, out);
    }
}

void plugin_complete(const pelton_batch *in, const pelton_responses *responses, pelton_asked *further, pelton_out *out) {
    for (uint32_t i = 0; i < responses->length; i++) answered(in, &responses->at[i], further, out);
    PELTON_EACH(row, in) {
        pelton_text op = pelton_get_text(in, OP, row);
        if (pelton_is(op, "pass")) {
            emit(in, row, NULL, NULL, 0, out);
        } else if (pelton_is(op, "reject")) {
            pelton_text who = pelton_is_null(in, NAME, row) ? pelton_str("null") : pelton_get_text(in, NAME, row);
            pelton_reject(out, row, pelton_str("refused"), pelton_concat(who, pelton_str(" is refused")));
        } else if (!pelton_is(op, "ask") && !pelton_is(op, "twice") && !pelton_is(op, "post")) {
            pelton_reject(out, row, pelton_str("unknown_op"), op);
        }
    }
}

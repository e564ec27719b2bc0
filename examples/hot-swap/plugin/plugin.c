/* Each payment of a user with its number, and with the sum of the user's last RELEASE payments.
 *
 * The rule: release N keeps N numbers a user, so each release has a table of its own version, and reads what all older ones wrote.
 * Left to others: other releases (releases.sh writes its defines in front), when they run (run.sh), what their rows must be (check.py). */
#include <pelton/stateful.h>

#ifndef RELEASE
#define RELEASE 1
#define MISTAKE NONE
#endif
/* Mistakes that are released too, to see them taken back. */
enum { NONE, STOPS_AT_A_USER, FORGETS_TO_MIGRATE, SUBTRACTS };

/* The input's fields, and the tables, in the order that they are declared in. */
enum { N, CENTS, PUT_MS };
enum { KEPT };

/* What version RELEASE of the table keeps: how many payments there were, and the newest of them, one less than are summed up. */
typedef struct {
    int64_t count, newest[RELEASE - 1];
} kept;

static const pelton_text no_sub_key = {"", 0};

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    (void)config;
    pelton_name(m, "recent", "0.1.0", "the sum of the last payments");
    pelton_input(m, "payments", 0);
    pelton_field(m, "n", PELTON_INT64);
    pelton_field(m, "cents", PELTON_INT64);
    pelton_field(m, "put_ms", PELTON_INT64);
    pelton_key(m);
    pelton_field(m, "user", PELTON_TEXT);
    pelton_output(m, "out", 0);
    pelton_field(m, "user", PELTON_TEXT);
    pelton_field(m, "n", PELTON_INT64);
    pelton_field(m, "count", PELTON_INT64);
    pelton_field(m, "cents", PELTON_INT64);
    pelton_field(m, "recent", PELTON_INT64);
    pelton_field(m, "release", PELTON_INT64);
    pelton_field(m, "put_ms", PELTON_INT64);
    pelton_table_info *table = pelton_table(m, "kept", RELEASE);
    /* Values of a user that was away may be of any older version. */
    uint32_t *older = pelton_alloc(RELEASE * sizeof *older);
    for (uint32_t version = 1; version < RELEASE; version++) older[version - 1] = version;
    table->migrates_from = (pelton_u32s){older, RELEASE - 1};
    return NULL;
}

const char *plugin_init(const pelton_context *context) {
    (void)context;
    return NULL;
}

/* An older version kept as many numbers as its own; of the payments before those nothing is known. */
bool plugin_migrate(const pelton_stored *old, pelton_builder *values, pelton_out *out) {
    (void)out;
    kept now = {0};
    memcpy(&now, old->value.at, old->version * sizeof(int64_t));
    pelton_add(values, MISTAKE == FORGETS_TO_MIGRATE ? old->value : (pelton_text){(const char *)&now, sizeof now});
    return true;
}

static int64_t add(kept *now, int64_t cents) {
    int64_t recent = cents;
    for (uint32_t i = 0; i < RELEASE - 1; i++) {
        int64_t next = now->newest[i];
        now->newest[i] = cents;
        cents = next;
        recent += MISTAKE == SUBTRACTS ? -next : next;
    }
    now->count++;
    return recent;
}

void plugin_process(const pelton_batch *in, pelton_out *out) {
    PELTON_EACH(row, in) {
        uint32_t key = in->key_index.at[row];
        pelton_text user = pelton_key_text(&in->keys, key, 0);
        if (MISTAKE == STOPS_AT_A_USER && pelton_is(user, "user-007")) pelton_trap("left over from a test");
        kept now = {0};
        pelton_value value = pelton_get(KEPT, key, no_sub_key);
        if (value.is_there) {
            if (value.bytes.length != sizeof now) pelton_trap("what is kept has the length of another version");
            memcpy(&now, value.bytes.at, sizeof now);
        }
        int64_t recent = add(&now, pelton_int64(in, CENTS, row));
        pelton_put(KEPT, key, no_sub_key, (pelton_text){(const char *)&now, sizeof now});
        pelton_emit(out, 0, row);
        pelton_put_text(out, user);
        pelton_put_int64(out, pelton_int64(in, N, row));
        pelton_put_int64(out, now.count);
        pelton_put_int64(out, pelton_int64(in, CENTS, row));
        pelton_put_int64(out, recent);
        pelton_put_int64(out, RELEASE);
        pelton_put_int64(out, pelton_int64(in, PUT_MS, row));
    }
}

void plugin_fire(const pelton_due *due, pelton_out *out) { (void)due, (void)out; }

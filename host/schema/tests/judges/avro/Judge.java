// Avro's own library answers what it says about schemas and bytes: a request a line on standard input, its answer a line on standard
// output, both JSON. Schemas are texts of JSON within strings; each is parsed by itself. A request that cannot be answered gets
// {"error": WHY}.
//
//   {"do":"read","reader":S,"writer":S}                   {"compatible":B,"why":[{"type":T,"at":PLACE,"message":M}, ..]};
//                          "threw": the library failed, which counts as no
//   {"do":"history","mode":M,"old":[oldest, .., newest],"new":S}   {"ok":B,"by_pairs":B}
//                          ok: SchemaValidator, which lets symbols that the reader's enum lacks pass; by_pairs: the same by
//                          SchemaCompatibility, which registries ask
//   {"do":"decode","writer":S,"reader":S,"seed":N,"count":N}
//                          {"records":[{"bytes":B64,"value":RAW} or {"bytes":B64,"error":WHY}, ..]}: random values of the writer's
//                          schema, and what they are for the reader; "fast": the same, where Avro's second reader says another thing
//   {"do":"fingerprint","schema":S}                       {"rabin":16 HEX,"canonical":TEXT}
//   {"do":"single_object","schema":S,"seed":N}            {"bytes":B64,"values":[RAW]}
//   {"do":"container","schema":S,"seed":N,"codec":"null"|"deflate","count":N}     {"bytes":B64,"values":[RAW, ..]}
//
// RAW is a value without regard to logical types: a record is an object in the reader's order; an array a list; a map
// {"m":[[KEY,RAW], ..]}, sorted by the bytes of its keys; a union {"u":BRANCH OF THE READER,"v":RAW}; int and long are decimals in a
// string; a float is "f" and a double "d" with the bits in hexadecimal; bytes and fixed are {"b":B64}; an enum is {"e":SYMBOL}; a string
// is a string, or {"s":B64} where it was promoted from bytes that are no UTF-8; null and booleans are themselves.
//
// The rule: the same request gets the same answer, in each run.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.AbstractMap;
import java.util.AbstractSet;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.HexFormat;
import java.util.IdentityHashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.SchemaValidationException;
import org.apache.avro.SchemaValidator;
import org.apache.avro.SchemaValidatorBuilder;
import org.apache.avro.file.CodecFactory;
import org.apache.avro.file.DataFileStream;
import org.apache.avro.file.DataFileWriter;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.Encoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.avro.util.Utf8;

final class Judge {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
    private static final Base64.Encoder BASE64 = Base64.getEncoder();
    private static final GenericData CLASSIC = new GenericData().setFastReaderEnabled(false);
    private static final GenericData FAST = new GenericData().setFastReaderEnabled(true);

    public static void main(String[] arguments) throws IOException {
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            answers.println(said(line));
            answers.flush();
        }
    }

    private static String said(String line) {
        try {
            return JSON.writeValueAsString(answer(JSON.readTree(line)));
        } catch (Throwable bad) {
            // also errors: a schema may be too deep for the stack
            return NODES.objectNode().put("error", words(bad)).toString();
        }
    }

    private static ObjectNode answer(JsonNode request) throws IOException {
        return switch (text(request, "do")) {
            case "read" -> read(schema(text(request, "reader")), schema(text(request, "writer")));
            case "history" -> history(request);
            case "decode" -> decode(request);
            case "fingerprint" -> fingerprint(schema(text(request, "schema")));
            case "single_object" -> singleObject(request);
            case "container" -> container(request);
            default -> throw new IllegalArgumentException("no such thing to do: " + text(request, "do"));
        };
    }

    private static ObjectNode read(Schema reader, Schema writer) {
        ObjectNode answer = NODES.objectNode();
        try {
            var verdict = SchemaCompatibility.checkReaderWriterCompatibility(reader, writer);
            answer.put("compatible", compatible(verdict));
            ArrayNode why = answer.putArray("why");
            for (var one : verdict.getResult().getIncompatibilities()) {
                why.addObject().put("type", one.getType().name()).put("at", one.getLocation()).put("message", one.getMessage());
            }
        } catch (Exception | StackOverflowError thrown) {
            answer.put("compatible", false).put("threw", words(thrown)).putArray("why");
        }
        return answer;
    }

    private static boolean compatible(SchemaCompatibility.SchemaPairCompatibility verdict) {
        return verdict.getType() == SchemaCompatibility.SchemaCompatibilityType.COMPATIBLE;
    }

    private static ObjectNode history(JsonNode request) {
        String mode = text(request, "mode");
        boolean all = mode.endsWith("_TRANSITIVE");
        String direction = mode.replace("_TRANSITIVE", "");
        SchemaValidatorBuilder strategy = switch (direction) {
            case "BACKWARD" -> new SchemaValidatorBuilder().canReadStrategy();
            case "FORWARD" -> new SchemaValidatorBuilder().canBeReadStrategy();
            case "FULL" -> new SchemaValidatorBuilder().mutualReadStrategy();
            default -> throw new IllegalArgumentException("no such mode: " + mode);
        };
        SchemaValidator validator = all ? strategy.validateAll() : strategy.validateLatest();
        Schema candidate = schema(text(request, "new"));
        List<Schema> newestFirst = new ArrayList<>();
        request.required("old").forEach(old -> newestFirst.add(0, schema(old.textValue())));
        ObjectNode answer = NODES.objectNode();
        try {
            validator.validate(candidate, newestFirst);
            answer.put("ok", true);
        } catch (SchemaValidationException refused) {
            answer.put("ok", false);
        } catch (RuntimeException | StackOverflowError thrown) {
            // it follows records that have no finite value for ever
            answer.put("ok", false).put("threw", words(thrown));
        }
        boolean pairs = true;
        for (Schema old : all ? newestFirst : newestFirst.subList(0, Math.min(1, newestFirst.size()))) {
            pairs &= direction.equals("FORWARD") || read(candidate, old).get("compatible").booleanValue();
            pairs &= direction.equals("BACKWARD") || read(old, candidate).get("compatible").booleanValue();
        }
        return answer.put("by_pairs", pairs);
    }

    private static ObjectNode decode(JsonNode request) throws IOException {
        Schema writer = schema(text(request, "writer"));
        Schema reader = request.has("reader") ? schema(text(request, "reader")) : writer;
        Generator values = new Generator(request.path("seed").longValue());
        ObjectNode answer = NODES.objectNode();
        ArrayNode records = answer.putArray("records");
        for (int left = request.path("count").asInt(1); left > 0; left--) {
            byte[] bytes = encoded(writer, values);
            ObjectNode record = records.addObject().put("bytes", BASE64.encodeToString(bytes));
            ObjectNode classic = decoded(CLASSIC, writer, reader, bytes);
            ObjectNode fast = decoded(FAST, writer, reader, bytes);
            record.setAll(classic);
            // their words differ, what they find does not
            boolean same = classic.equals(fast) || classic.has("error") && fast.has("error");
            if (!same) {
                record.set("fast", fast);
            }
        }
        return answer;
    }

    private static byte[] encoded(Schema writer, Generator values) throws IOException {
        Object value = values.of(writer);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        Encoder encoder = values.oneIn(3)
                // its blocks carry their size in bytes, and are small
                ? new EncoderFactory().configureBlockSize(64).blockingBinaryEncoder(bytes, null)
                : EncoderFactory.get().binaryEncoder(bytes, null);
        new BlocksWriter(writer, values).write(value, encoder);
        encoder.flush();
        return bytes.toByteArray();
    }

    private static ObjectNode decoded(GenericData data, Schema writer, Schema reader, byte[] bytes) {
        ObjectNode record = NODES.objectNode();
        try {
            // Not ByteArrayInputStream itself: of such a one Avro 1.12.2 knows how many bytes are left, and refuses arrays and maps whose
            // items would be too large for them as the reader's schema has them, though the writer's are smaller.
            BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(new ByteArrayInputStream(bytes) {}, null);
            Object value = new GenericDatumReader<>(writer, reader, data).read(null, decoder);
            if (!decoder.isEnd()) {
                return record.put("error", "bytes are left over");
            }
            return record.set("value", raw(reader, value));
        } catch (Exception refused) {
            return record.put("error", words(refused));
        }
    }

    private static ObjectNode fingerprint(Schema schema) throws IOException {
        byte[] rabin;
        try {
            rabin = SchemaNormalization.parsingFingerprint("CRC-64-AVRO", schema);
        } catch (java.security.NoSuchAlgorithmException impossible) {
            throw new IOException(impossible);
        }
        return NODES.objectNode().put("rabin", HexFormat.of().formatHex(rabin))
                .put("canonical", SchemaNormalization.toParsingForm(schema));
    }

    private static ObjectNode singleObject(JsonNode request) throws IOException {
        Schema schema = schema(text(request, "schema"));
        Object value = new Generator(request.path("seed").longValue()).of(schema);
        ByteBuffer bytes = new BinaryMessageEncoder<Object>(CLASSIC, schema).encode(value);
        byte[] message = Arrays.copyOfRange(bytes.array(), bytes.position(), bytes.limit());
        Object back = new BinaryMessageDecoder<Object>(CLASSIC, schema).decode(message);
        ObjectNode answer = NODES.objectNode().put("bytes", BASE64.encodeToString(message));
        answer.putArray("values").add(raw(schema, back));
        return answer;
    }

    private static ObjectNode container(JsonNode request) throws IOException {
        Schema schema = schema(text(request, "schema"));
        Generator values = new Generator(request.path("seed").longValue());
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (DataFileWriter<Object> file = new DataFileWriter<>(new BlocksWriter(schema, values))) {
            file.setCodec(CodecFactory.fromString(request.path("codec").asText("null")));
            // several blocks of several objects each
            file.setSyncInterval(64).create(schema, bytes, values.bytes(16));
            for (int left = request.path("count").asInt(1); left > 0; left--) {
                file.append(values.of(schema));
            }
        }
        ObjectNode answer = NODES.objectNode().put("bytes", BASE64.encodeToString(bytes.toByteArray()));
        ArrayNode read = answer.putArray("values");
        var reader = new GenericDatumReader<>(schema, schema, CLASSIC);
        try (var file = new DataFileStream<>(new ByteArrayInputStream(bytes.toByteArray()), reader)) {
            file.forEach(value -> read.add(raw(schema, value)));
        }
        return answer;
    }

    private static JsonNode raw(Schema schema, Object value) {
        return switch (schema.getType()) {
            case NULL -> NODES.nullNode();
            case BOOLEAN -> NODES.booleanNode((Boolean) value);
            case INT, LONG -> NODES.textNode(((Number) value).toString());
            case FLOAT -> NODES.textNode(String.format("f%08x", Float.floatToRawIntBits((Float) value)));
            case DOUBLE -> NODES.textNode(String.format("d%016x", Double.doubleToRawLongBits((Double) value)));
            case STRING -> string((CharSequence) value);
            case BYTES -> NODES.objectNode().put("b", BASE64.encodeToString(content((ByteBuffer) value)));
            case FIXED -> NODES.objectNode().put("b", BASE64.encodeToString(((GenericFixed) value).bytes()));
            case ENUM -> NODES.objectNode().put("e", value.toString());
            case RECORD -> record(schema, (GenericRecord) value);
            case ARRAY -> {
                ArrayNode list = NODES.arrayNode();
                ((Collection<?>) value).forEach(item -> list.add(raw(schema.getElementType(), item)));
                yield list;
            }
            case MAP -> map(schema.getValueType(), (Map<?, ?>) value);
            case UNION -> {
                // exact: what was read is of a class, or of a schema with a name, that no other branch has
                int branch = CLASSIC.resolveUnion(schema, value);
                ObjectNode union = NODES.objectNode().put("u", branch);
                yield union.set("v", raw(schema.getTypes().get(branch), value));
            }
        };
    }

    private static JsonNode string(CharSequence value) {
        String text = value.toString();
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        if (value instanceof Utf8 read && !Arrays.equals(bytes, Arrays.copyOf(read.getBytes(), read.getByteLength()))) {
            return NODES.objectNode().put("s", BASE64.encodeToString(Arrays.copyOf(read.getBytes(), read.getByteLength())));
        }
        return NODES.textNode(text);
    }

    private static JsonNode record(Schema schema, GenericRecord value) {
        ObjectNode fields = NODES.objectNode();
        schema.getFields().forEach(field -> fields.set(field.name(), raw(field.schema(), value.get(field.pos()))));
        return fields;
    }

    private static JsonNode map(Schema schema, Map<?, ?> value) {
        TreeMap<byte[], JsonNode> sorted = new TreeMap<>(Arrays::compareUnsigned);
        value.forEach((key, item) -> sorted.put(key.toString().getBytes(StandardCharsets.UTF_8), raw(schema, item)));
        ObjectNode map = NODES.objectNode();
        ArrayNode entries = map.putArray("m");
        sorted.forEach((key, item) -> entries.addArray().add(new String(key, StandardCharsets.UTF_8)).add(item));
        return map;
    }

    private static byte[] content(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    private static Schema schema(String text) {
        return new Schema.Parser().parse(text);
    }

    private static String text(JsonNode request, String name) {
        JsonNode text = request.path(name);
        if (!text.isTextual()) {
            throw new IllegalArgumentException("the request has no text `" + name + "`");
        }
        return text.textValue();
    }

    private static String words(Throwable bad) {
        return bad.getClass().getSimpleName() + ": " + bad.getMessage();
    }

    /** A map as it may stand in bytes: a key may come again. */
    private static final class Entries extends AbstractMap<String, Object> {
        private final List<Map.Entry<String, Object>> list = new ArrayList<>();

        @Override
        public Set<Map.Entry<String, Object>> entrySet() {
            return new AbstractSet<>() {
                @Override
                public Iterator<Map.Entry<String, Object>> iterator() {
                    return list.iterator();
                }

                @Override
                public int size() {
                    return list.size();
                }
            };
        }
    }

    /** Writes arrays and maps in one block or in several, as any writer may. */
    private static final class BlocksWriter extends GenericDatumWriter<Object> {
        private final Generator random;

        BlocksWriter(Schema schema, Generator random) {
            super(schema, CLASSIC);
            this.random = random;
        }

        private interface Each<T> {
            void write(T item) throws IOException;
        }

        private <T> void blocks(Collection<T> items, Encoder out, Each<T> each) throws IOException {
            int left = items.size();
            int block = 0;
            // an encoder wants to know of no items, too
            if (left == 0) {
                out.setItemCount(0);
            }
            for (T item : items) {
                if (block == 0) {
                    block = random.oneIn(2) ? left : 1 + random.below(left);
                    out.setItemCount(block);
                }
                out.startItem();
                each.write(item);
                block--;
                left--;
            }
        }

        @Override
        protected void writeArray(Schema schema, Object datum, Encoder out) throws IOException {
            out.writeArrayStart();
            blocks((Collection<?>) datum, out, item -> write(schema.getElementType(), item, out));
            out.writeArrayEnd();
        }

        @Override
        protected void writeMap(Schema schema, Object datum, Encoder out) throws IOException {
            out.writeMapStart();
            blocks(((Map<?, ?>) datum).entrySet(), out, entry -> {
                writeString(entry.getKey(), out);
                write(schema.getValueType(), entry.getValue(), out);
            });
            out.writeMapEnd();
        }
    }

    /** Values of any schema that has finite ones: edges often, every branch and symbol soon, not too deep and not too many. */
    private static final class Generator {
        private static final int DEEPEST = 12;
        private static final int MOST = 400;
        private static final int INFINITE = Integer.MAX_VALUE;
        private static final long[] EDGES = {
            0, 1, -1, 2, 63, 64, -64, -65, 127, 128, 8191, 8192, -8192, -8193, 1L << 24, (1L << 24) + 1, Integer.MAX_VALUE,
            Integer.MIN_VALUE, 1L + Integer.MAX_VALUE, Integer.MIN_VALUE - 1L, 1L << 53, (1L << 53) + 1, Long.MAX_VALUE, Long.MIN_VALUE
        };
        private static final double[] DOUBLES = {
            0.0, -0.0, 1.0, -1.5, 0.1, Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.MIN_VALUE, Double.MIN_NORMAL,
            Double.MAX_VALUE, -Double.MAX_VALUE, 1e308, 9007199254740993.0
        };
        private static final float[] FLOATS = {
            0.0f, -0.0f, 1.0f, -1.5f, 0.1f, Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.MIN_VALUE, Float.MIN_NORMAL,
            Float.MAX_VALUE, -Float.MAX_VALUE, 16777217.0f
        };
        // the last but one sorts in one way by code points and in another by UTF-16
        private static final String[] PARTS = {
            "", "a", "b", "Z", "0", " ", "\"", "\\", "\n", "\u0000",
            "é", "ß", "Ж", "中文", "e\u0301", "\u200f", "\ufeff", "\uffff", "😀", "key"
        };

        private final Random random;
        private final IdentityHashMap<Schema, Integer> turns = new IdentityHashMap<>();
        private final IdentityHashMap<Schema, Integer> heights = new IdentityHashMap<>();
        private final IdentityHashMap<Schema, Boolean> known = new IdentityHashMap<>();
        private int made;

        Generator(long seed) {
            random = new Random(seed);
        }

        boolean oneIn(int times) {
            return random.nextInt(times) == 0;
        }

        int below(int bound) {
            return random.nextInt(bound);
        }

        byte[] bytes(int length) {
            byte[] bytes = new byte[length];
            random.nextBytes(bytes);
            return bytes;
        }

        Object of(Schema schema) {
            if (!known.containsKey(schema)) {
                measure(schema);
            }
            if (height(schema) == INFINITE) {
                throw new IllegalArgumentException("no value of this schema is finite");
            }
            made = 0;
            return value(schema, 0);
        }

        private Object value(Schema schema, int depth) {
            made++;
            return switch (schema.getType()) {
                case NULL -> null;
                case BOOLEAN -> random.nextBoolean();
                case INT -> (int) whole(32);
                case LONG -> whole(64);
                case FLOAT -> float32();
                case DOUBLE -> float64();
                case STRING -> string();
                case BYTES -> ByteBuffer.wrap(some());
                case FIXED -> new GenericData.Fixed(schema, bytes(schema.getFixedSize()));
                case ENUM -> new GenericData.EnumSymbol(schema, schema.getEnumSymbols().get(turn(schema, schema.getEnumSymbols().size())));
                case RECORD -> record(schema, depth);
                case ARRAY -> {
                    List<Object> list = new ArrayList<>();
                    for (int left = length(schema.getElementType(), depth); left > 0; left--) {
                        list.add(value(schema.getElementType(), depth + 1));
                    }
                    yield list;
                }
                case MAP -> map(schema.getValueType(), depth);
                case UNION -> value(branch(schema, depth), depth + 1);
            };
        }

        private boolean enough(int depth) {
            return depth >= DEEPEST || made >= MOST;
        }

        private Object record(Schema schema, int depth) {
            GenericData.Record record = new GenericData.Record(schema);
            schema.getFields().forEach(field -> record.put(field.pos(), value(field.schema(), depth + 1)));
            return record;
        }

        private Object map(Schema schema, int depth) {
            Entries map = new Entries();
            for (int left = length(schema, depth); left > 0; left--) {
                boolean again = !map.list.isEmpty() && oneIn(8);
                String key = again ? map.list.get(below(map.list.size())).getKey() : string();
                map.list.add(Map.entry(key, new Object[] {value(schema, depth + 1)}));
            }
            map.list.replaceAll(entry -> new AbstractMap.SimpleEntry<>(entry.getKey(), ((Object[]) entry.getValue())[0]));
            return map;
        }

        private int length(Schema items, int depth) {
            if (enough(depth) || height(items) == INFINITE) {
                return 0;
            }
            return switch (below(8)) {
                case 0, 1 -> 0;
                case 2, 3 -> 1;
                case 7 -> depth <= 2 ? 20 + below(60) : 6;
                default -> 2 + below(4);
            };
        }

        private Schema branch(Schema union, int depth) {
            List<Schema> branches = union.getTypes();
            Schema chosen = branches.get(turn(union, branches.size()));
            if (!enough(depth) && height(chosen) != INFINITE) {
                return chosen;
            }
            return branches.stream().min((one, other) -> Integer.compare(height(one), height(other))).orElseThrow();
        }

        /** In turn, so that all come soon; at random as often, so that what is recursive is not always cut at the same place. */
        private int turn(Schema schema, int count) {
            if (oneIn(2)) {
                return below(count);
            }
            int next = turns.getOrDefault(schema, below(count));
            turns.put(schema, (next + 1) % count);
            return next % count;
        }

        private long whole(int bits) {
            if (oneIn(2)) {
                long edge = EDGES[below(EDGES.length)];
                return bits == 32 ? (int) edge : edge;
            }
            return random.nextLong() >> (64 - bits + below(bits));
        }

        private float float32() {
            float any = Float.intBitsToFloat(random.nextInt());
            // of the many NaN only the usual one: what a conversion makes of the others is the processor's
            return oneIn(2) || Float.isNaN(any) ? FLOATS[below(FLOATS.length)] : any;
        }

        private double float64() {
            double any = Double.longBitsToDouble(random.nextLong());
            return oneIn(2) || Double.isNaN(any) ? DOUBLES[below(DOUBLES.length)] : any;
        }

        private String string() {
            StringBuilder text = new StringBuilder();
            int parts = oneIn(12) ? 100 : below(5);
            for (; parts > 0; parts--) {
                text.append(PARTS[below(PARTS.length)]);
            }
            return text.toString();
        }

        /** As often a text as anything, for readers that take it for one. */
        private byte[] some() {
            return oneIn(2) ? string().getBytes(StandardCharsets.UTF_8) : bytes(oneIn(12) ? 200 : below(6));
        }

        private int height(Schema schema) {
            return heights.getOrDefault(schema, INFINITE);
        }

        /** How deep the flattest value of each schema is; none is known of those that have only infinite values. */
        private void measure(Schema schema) {
            List<Schema> all = new ArrayList<>();
            collect(schema, all);
            boolean changed = true;
            while (changed) {
                changed = false;
                for (Schema one : all) {
                    int height = flattest(one);
                    if (height < height(one)) {
                        heights.put(one, height);
                        changed = true;
                    }
                }
            }
        }

        private void collect(Schema schema, List<Schema> all) {
            if (known.put(schema, true) != null) {
                return;
            }
            switch (schema.getType()) {
                case RECORD -> schema.getFields().forEach(field -> collect(field.schema(), all));
                case ARRAY -> collect(schema.getElementType(), all);
                case MAP -> collect(schema.getValueType(), all);
                case UNION -> schema.getTypes().forEach(branch -> collect(branch, all));
                default -> {}
            }
            all.add(schema);
        }

        private int flattest(Schema schema) {
            int inner = switch (schema.getType()) {
                case RECORD -> schema.getFields().stream().mapToInt(field -> height(field.schema())).max().orElse(0);
                case UNION -> schema.getTypes().stream().mapToInt(this::height).min().orElse(INFINITE);
                case ENUM -> schema.getEnumSymbols().isEmpty() ? INFINITE : 0;
                default -> 0;
            };
            return inner == INFINITE ? INFINITE : inner + 1;
        }
    }
}

// AWS's own library writes and reads records framed as Glue Schema Registry has them: a request a line on standard input, its answer a line
// on standard output, both JSON. A request that cannot be answered gets {"error": WHY}.
//
//   {"do":"write","endpoint":URL,"registry":NAME,"schema_name":NAME,"schema":S,"record":R,"compression":"NONE"|"ZLIB","auto_register":B}
//                                      {"bytes":B64}; "compatibility":MODE may be added, for a schema that is to be made
//   {"do":"read","endpoint":URL,"bytes":B64}      {"record":R,"schema":S}
//
// S is the text of an Avro schema. R is a value of it in Avro's own JSON: of a union that is not null it says the type, {"string":"a"}.
//
// The rule: a library as its users have it. It keeps what a registry answered for as long as this program runs: ask another registry under
// another address, and the same one anew by starting anew.

import com.amazonaws.services.schemaregistry.common.AWSDeserializerInput;
import com.amazonaws.services.schemaregistry.common.AWSSerializerInput;
import com.amazonaws.services.schemaregistry.common.configs.GlueSchemaRegistryConfiguration;
import com.amazonaws.services.schemaregistry.deserializers.GlueSchemaRegistryDeserializationFacade;
import com.amazonaws.services.schemaregistry.serializers.GlueSchemaRegistrySerializationFacade;
import com.amazonaws.services.schemaregistry.utils.AWSSchemaRegistryConstants;
import com.amazonaws.services.schemaregistry.utils.AvroRecordType;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericContainer;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.io.JsonEncoder;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.services.glue.model.DataFormat;

final class Glue {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final StaticCredentialsProvider NOBODY =
            StaticCredentialsProvider.create(AwsBasicCredentials.create("none", "none"));
    private static final Map<Map<String, Object>, GlueSchemaRegistrySerializationFacade> WRITERS = new HashMap<>();
    private static final Map<Map<String, Object>, GlueSchemaRegistryDeserializationFacade> READERS = new HashMap<>();

    public static void main(String[] arguments) throws IOException {
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            answers.println(said(line));
            answers.flush();
        }
        // threads of the clients would go on
        System.exit(0);
    }

    private static String said(String line) {
        try {
            JsonNode request = JSON.readTree(line);
            return switch (text(request, "do")) {
                case "write" -> write(request).toString();
                case "read" -> read(request).toString();
                default -> throw new IllegalArgumentException("no such thing to do: " + text(request, "do"));
            };
        } catch (Throwable bad) {
            return JSON.createObjectNode().put("error", words(bad)).toString();
        }
    }

    private static ObjectNode write(JsonNode request) throws IOException {
        Map<String, Object> settings = settings(request);
        settings.put(AWSSchemaRegistryConstants.REGISTRY_NAME, text(request, "registry"));
        settings.put(AWSSchemaRegistryConstants.COMPRESSION_TYPE, request.path("compression").asText("NONE"));
        settings.put(AWSSchemaRegistryConstants.SCHEMA_AUTO_REGISTRATION_SETTING, request.path("auto_register").asBoolean(false));
        if (request.has("compatibility")) {
            settings.put(AWSSchemaRegistryConstants.COMPATIBILITY_SETTING, text(request, "compatibility"));
        }
        Schema schema = new Schema.Parser().parse(text(request, "schema"));
        String record = request.required("record").toString();
        Object value = new GenericDatumReader<>(schema).read(null, DecoderFactory.get().jsonDecoder(schema, record));
        GlueSchemaRegistrySerializationFacade writer = WRITERS.computeIfAbsent(settings, of ->
                GlueSchemaRegistrySerializationFacade.builder().credentialProvider(NOBODY)
                        .glueSchemaRegistryConfiguration(new GlueSchemaRegistryConfiguration(of)).build());
        UUID version = writer.getOrRegisterSchemaVersion(AWSSerializerInput.builder().schemaDefinition(text(request, "schema"))
                .schemaName(text(request, "schema_name")).dataFormat(DataFormat.AVRO.name()).transportName("judge").build());
        byte[] bytes = writer.serialize(DataFormat.AVRO, value, version);
        return JSON.createObjectNode().put("bytes", Base64.getEncoder().encodeToString(bytes));
    }

    private static ObjectNode read(JsonNode request) throws IOException {
        GlueSchemaRegistryDeserializationFacade reader = READERS.computeIfAbsent(settings(request), of ->
                new GlueSchemaRegistryDeserializationFacade(new GlueSchemaRegistryConfiguration(of), NOBODY));
        byte[] bytes = Base64.getDecoder().decode(text(request, "bytes"));
        String definition = reader.getSchemaDefinition(bytes);
        Object value = reader.deserialize(
                AWSDeserializerInput.builder().buffer(ByteBuffer.wrap(bytes)).transportName("judge").build());
        Schema schema = ((GenericContainer) value).getSchema();
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        JsonEncoder encoder = EncoderFactory.get().jsonEncoder(schema, text);
        new GenericDatumWriter<>(schema).write(value, encoder);
        encoder.flush();
        ObjectNode answer = JSON.createObjectNode();
        answer.set("record", JSON.readTree(text.toByteArray()));
        return answer.put("schema", definition);
    }

    private static Map<String, Object> settings(JsonNode request) {
        Map<String, Object> settings = new HashMap<>();
        settings.put(AWSSchemaRegistryConstants.AWS_ENDPOINT, text(request, "endpoint"));
        settings.put(AWSSchemaRegistryConstants.AWS_REGION, "us-east-1");
        settings.put(AWSSchemaRegistryConstants.AVRO_RECORD_TYPE, AvroRecordType.GENERIC_RECORD.getName());
        return settings;
    }

    private static String text(JsonNode request, String name) {
        JsonNode text = request.path(name);
        if (!text.isTextual()) {
            throw new IllegalArgumentException("the request has no text `" + name + "`");
        }
        return text.textValue();
    }

    /** With the first cause: the library wraps what the registry answered. */
    private static String words(Throwable bad) {
        Throwable first = bad;
        while (first.getCause() != null) {
            first = first.getCause();
        }
        String words = bad.getClass().getSimpleName() + ": " + bad.getMessage();
        return first == bad ? words : words + "; " + first.getClass().getSimpleName() + ": " + first.getMessage();
    }
}

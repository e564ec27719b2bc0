// An application of the Kinesis Client Library: it says on standard output what it reads and what it checkpoints, one thing a line,
// and stops gracefully when its standard input ends.
//
//   begin SHARD SEQUENCE SUBSEQUENCE          reading begins behind this, or at TRIM_HORIZON
//   record SHARD SEQUENCE SUBSEQUENCE DATA    a record was given to us
//   done SHARD SEQUENCE SUBSEQUENCE           a checkpoint is written; SHARD_END at the end of a shard
//   lost SHARD                                the lease is another's
//   stopped                                   everything has ended
//
// The rule: every batch is checkpointed, but from the first record on that holds the text "unsaid" nothing of its shard is.

import java.net.URI;
import java.nio.charset.StandardCharsets;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.MetricsLevel;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

final class Reader implements ShardRecordProcessor {
    private String shard;
    private boolean checkpoints = true;

    /** STREAM TABLE WORKER fan-out|polling KINESIS DYNAMODB: the last two are addresses. */
    public static void main(String[] arguments) throws Exception {
        Scheduler scheduler = scheduler(arguments);
        Thread running = new Thread(scheduler);
        running.start();
        while (System.in.read() >= 0) {}
        scheduler.startGracefulShutdown().get();
        running.join();
        say("stopped");
        // threads of the clients would go on
        System.exit(0);
    }

    private static Scheduler scheduler(String[] arguments) {
        String stream = arguments[0];
        KinesisAsyncClient kinesis = at(arguments[4], KinesisAsyncClient.builder())
                .httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP2)).build();
        DynamoDbAsyncClient tables = at(arguments[5], DynamoDbAsyncClient.builder()).build();
        CloudWatchAsyncClient metrics = at(arguments[5], CloudWatchAsyncClient.builder()).build();
        InitialPositionInStreamExtended start =
                InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
        ConfigsBuilder all = new ConfigsBuilder(
                new SingleStreamTracker(stream, start), arguments[1], kinesis, tables, metrics, arguments[2], Reader::new);
        boolean fanOut = arguments[3].equals("fan-out");
        RetrievalSpecificConfig retrieval = fanOut
                ? new FanOutConfig(kinesis).streamName(stream).applicationName(arguments[1])
                : new PollingConfig(stream, kinesis).idleTimeBetweenReadsInMillis(200);
        var leases = all.leaseManagementConfig().failoverTimeMillis(3000).shardSyncIntervalMillis(1000);
        leases.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true);
        var coordinator = all.coordinatorConfig().parentShardPollIntervalMillis(500);
        return new Scheduler(
                all.checkpointConfig(),
                coordinator,
                leases,
                all.lifecycleConfig(),
                all.metricsConfig().metricsFactory(new NullMetricsFactory()).metricsLevel(MetricsLevel.NONE),
                all.processorConfig(),
                all.retrievalConfig().retrievalSpecificConfig(retrieval));
    }

    private static <B extends AwsClientBuilder<B, C>, C> B at(String address, B builder) {
        return builder.endpointOverride(URI.create(address)).region(Region.US_EAST_1).credentialsProvider(
                StaticCredentialsProvider.create(AwsBasicCredentials.create("none", "none")));
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    @Override
    public void initialize(InitializationInput input) {
        shard = input.shardId();
        say("begin " + shard + " " + input.extendedSequenceNumber().sequenceNumber() + " "
                + input.extendedSequenceNumber().subSequenceNumber());
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
        KinesisClientRecord last = null;
        for (KinesisClientRecord record : input.records()) {
            String data = StandardCharsets.UTF_8.decode(record.data()).toString();
            say("record " + shard + " " + record.sequenceNumber() + " " + record.subSequenceNumber() + " " + data);
            checkpoints = checkpoints && !data.contains("unsaid");
            last = record;
        }
        if (last != null && checkpoints) {
            checkpoint(last, input.checkpointer());
        }
    }

    private void checkpoint(KinesisClientRecord last, RecordProcessorCheckpointer checkpointer) {
        try {
            checkpointer.checkpoint(last.sequenceNumber(), last.subSequenceNumber());
            say("done " + shard + " " + last.sequenceNumber() + " " + last.subSequenceNumber());
        } catch (InvalidStateException | ShutdownException refused) {
            say("refused " + shard + " " + refused);
        }
    }

    @Override
    public void leaseLost(LeaseLostInput input) {
        say("lost " + shard);
    }

    @Override
    public void shardEnded(ShardEndedInput input) {
        try {
            input.checkpointer().checkpoint();
            say("done " + shard + " SHARD_END 0");
        } catch (InvalidStateException | ShutdownException refused) {
            say("refused " + shard + " " + refused);
        }
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
        // what there is to say was said after each batch
    }
}

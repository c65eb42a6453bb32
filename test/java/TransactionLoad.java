import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ApplicationRecoverableException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Runs numbered transactions until its standard input closes, several producers side by side, and says what became of each transaction, in the
 * lines of test/longrun/transactions/librdkafka_transactions.py.
 *
 * Arguments: ADDRESS PRODUCER,PRODUCER... FIRST_NUMBER SEED PARTITIONS GROUP_TOPIC TOPIC...
 */
public final class TransactionLoad {
  private static final int RECORDS_MAX = 8;
  private static final double ABORTED = 0.25;
  private static final int VALUE_CHARACTERS = 120;
  private static volatile boolean stopping = false;

  private final String address;
  private final String name;
  private final long first;
  private final Random chance;
  private final int partitions;
  private final TopicPartition groupPartition;
  private final List<String> topics;
  private ConsumerGroupMetadata group;

  private TransactionLoad(String[] args, String name, long seed) {
    this.address = args[0];
    this.name = name;
    this.first = Long.parseLong(args[2]);
    this.chance = new Random(seed);
    this.partitions = Integer.parseInt(args[4]);
    this.groupPartition = new TopicPartition(args[5], 0);
    this.topics = List.of(args).subList(6, args.length);
  }

  public static void main(String[] args) throws Exception {
    long seed = Long.parseLong(args[3]);
    List<Thread> threads = new java.util.ArrayList<>();
    for (String name : args[1].split(",")) {
      TransactionLoad load = new TransactionLoad(args, name, seed++);
      Thread thread = new Thread(load::run, name);
      thread.setUncaughtExceptionHandler((failed, error) -> {
        error.printStackTrace();
        Runtime.getRuntime().halt(1);
      });
      thread.start();
      threads.add(thread);
    }
    Thread input = new Thread(TransactionLoad::readToTheEnd);
    input.setDaemon(true);
    input.start();
    for (Thread thread : threads) thread.join();
  }

  private static void readToTheEnd() {
    try {
      while (System.in.read() >= 0) {}
    } catch (java.io.IOException closed) {
      // As good as its end.
    }
    stopping = true;
  }

  private static void say(Object... words) {
    StringBuilder line = new StringBuilder();
    for (Object word : words) line.append(line.length() == 0 ? "" : " ").append(word);
    synchronized (TransactionLoad.class) {
      System.out.println(line);
      System.out.flush();
    }
  }

  private Properties client() {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", address);
    properties.put("reconnect.backoff.ms", "20");
    properties.put("reconnect.backoff.max.ms", "200");
    properties.put("retry.backoff.ms", "20");
    properties.put("retry.backoff.max.ms", "200");
    properties.put("request.timeout.ms", "10000");
    return properties;
  }

  /** Whoever cannot go on ends the process: to take the id again would be to take it from an instance that has replaced this one. */
  private void run() {
    long number = first;
    try (KafkaProducer<String, String> producer = start()) {
      say("resumed", name, first, committedOffset());
      while (!stopping) transact(producer, number++);
    } catch (KafkaException broken) {
      say("fenced", name, broken);
      Runtime.getRuntime().halt(0);
    }
  }

  private KafkaProducer<String, String> start() {
    Properties properties = client();
    properties.put("transactional.id", name);
    properties.put("transaction.timeout.ms", "15000");
    properties.put("delivery.timeout.ms", "60000");
    properties.put("max.block.ms", "60000");
    properties.put("linger.ms", "1");
    KafkaProducer<String, String> producer =
        new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
    insist(producer::initTransactions);
    return producer;
  }

  private long committedOffset() {
    Properties properties = client();
    properties.put("group.id", name);
    properties.put("isolation.level", "read_committed");
    try (KafkaConsumer<String, String> consumer =
        new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer())) {
      OffsetAndMetadata found =
          consumer.committed(Set.of(groupPartition), Duration.ofSeconds(60)).get(groupPartition);
      group = consumer.groupMetadata();
      return found == null ? 0 : found.offset();
    }
  }

  private void transact(KafkaProducer<String, String> producer, long number) {
    int records = 1 + chance.nextInt(RECORDS_MAX);
    say("begin", name, number, records);
    try {
      producer.beginTransaction();
      for (int index = 0; index < records; index++) {
        String head = name + ":" + number + ":" + index + ":" + records + ":";
        String value = head + "x".repeat(VALUE_CHARACTERS - head.length());
        String topic = topics.get(chance.nextInt(topics.size()));
        producer.send(new ProducerRecord<>(topic, chance.nextInt(partitions), null, value));
      }
      if (chance.nextDouble() < ABORTED) {
        if (chance.nextBoolean()) producer.flush();
        abort(producer, number);
        return;
      }
      producer.sendOffsetsToTransaction(
          Map.of(groupPartition, new OffsetAndMetadata(number + 1)), group);
      say("commit", name, number);
      insist(producer::commitTransaction);
      say("committed", name, number);
    } catch (ApplicationRecoverableException broken) {
      throw broken;
    } catch (KafkaException aborting) {
      abort(producer, number);
    }
  }

  private void abort(KafkaProducer<String, String> producer, long number) {
    insist(producer::abortTransaction);
    say("aborted", name, number);
  }

  /** Repeats a call as long as its error says that it may succeed later. */
  private static void insist(Runnable call) {
    while (true) {
      try {
        call.run();
        return;
      } catch (TimeoutException later) {
        // Retriable by the client's contract; asked for again with the same arguments.
      } catch (RetriableException later) {
        sleep();
      }
    }
  }

  private static void sleep() {
    try {
      Thread.sleep(20);
    } catch (InterruptedException interrupted) {
      throw new KafkaException(interrupted);
    }
  }
}

package nexmark;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.HashMap;
import java.util.Map;
import java.util.StringJoiner;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.TableDescriptor;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.apache.flink.util.CloseableIterator;

/**
 * Runs queries of Nexmark as streaming SQL on a local cluster of Flink, two tasks in parallel, and prints how many
 * milliseconds each of them took: the net runtime of its job, without the start of the JVM and of the cluster.
 *
 * <p>Usage: Nexmark DIRECTORY EVENTS RATE WARM_UP QUERIES [FILE], where the directory has tables.sql and queries/, each
 * query runs over WARM_UP events before it is measured, and QUERIES are separated by commas. With a FILE, the answer of the
 * query is written to it instead. Options of Flink are properties of the JVM that begin with {@code flink.}.
 */
public final class Nexmark {
    private static final int PARALLELISM = 2;

    private final Path directory;
    private final long rate;

    private Nexmark(Path directory, long rate) {
        this.directory = directory;
        this.rate = rate;
    }

    public static void main(String[] args) throws Exception {
        Nexmark nexmark = new Nexmark(Path.of(args[0]), Long.parseLong(args[2]));
        long events = Long.parseLong(args[1]);
        long warmUp = Long.parseLong(args[3]);
        for (String query : args[4].split(",")) {
            if (args.length > 5) {
                nexmark.write(query, events, Path.of(args[5]));
                continue;
            }
            if (warmUp > 0) {
                nexmark.measure(query, warmUp);
            }
            System.out.println(query + " " + nexmark.measure(query, events));
        }
    }

    /** Each job has an environment of its own, as each query of the SQL client that runs apart. */
    private Table table(String query, long events) throws Exception {
        Configuration options = new Configuration();
        options.setString("execution.runtime-mode", "streaming");
        options.setString("pipeline.object-reuse", "true");
        options.setString("state.backend.type", "hashmap");
        options.setString("taskmanager.memory.network.max", "256mb");
        for (String name : System.getProperties().stringPropertyNames()) {
            if (name.startsWith("flink.")) {
                options.setString(name.substring("flink.".length()), System.getProperty(name));
            }
        }
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.createLocalEnvironment(PARALLELISM, options);
        StreamTableEnvironment tables = StreamTableEnvironment.create(environment);
        tables.getConfig().setLocalTimeZone(ZoneOffset.UTC);
        String made = Files.readString(directory.resolve("tables.sql"))
                .replace("${events}", Long.toString(events))
                .replace("${rate}", Long.toString(rate));
        for (String statement : made.split(";")) {
            if (!statement.isBlank()) {
                tables.executeSql(statement);
            }
        }
        return tables.sqlQuery(Files.readString(directory.resolve("queries").resolve(query + ".sql")));
    }

    private long measure(String query, long events) throws Exception {
        TableDescriptor nowhere = TableDescriptor.forConnector("blackhole").build();
        return table(query, events)
                .insertInto(nowhere)
                .execute()
                .getJobClient()
                .orElseThrow()
                .getJobExecutionResult()
                .get()
                .getNetRuntime();
    }

    /** Writes the rows that are left when all have come and others have been taken back. */
    private void write(String query, long events, Path file) throws Exception {
        Map<String, Long> rows = new HashMap<>();
        try (CloseableIterator<Row> changes = table(query, events).execute().collect()) {
            while (changes.hasNext()) {
                Row row = changes.next();
                boolean comes = row.getKind() == RowKind.INSERT || row.getKind() == RowKind.UPDATE_AFTER;
                rows.merge(line(row), comes ? 1L : -1L, Long::sum);
            }
        }
        try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(file))) {
            rows.forEach((row, count) -> {
                for (long i = 0; i < count; i++) {
                    out.print(row + "\n");
                }
            });
        }
    }

    private static String line(Row row) {
        StringJoiner line = new StringJoiner("\t");
        for (int i = 0; i < row.getArity(); i++) {
            Object column = row.getField(i);
            line.add(column instanceof LocalDateTime time
                    ? Long.toString(time.toInstant(ZoneOffset.UTC).toEpochMilli())
                    : String.valueOf(column));
        }
        return line.toString();
    }
}

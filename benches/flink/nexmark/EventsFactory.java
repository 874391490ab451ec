package nexmark;

import java.util.Set;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.ProviderContext;
import org.apache.flink.table.connector.source.DataStreamScanProvider;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.abilities.SupportsWatermarkPushDown;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.DataType;

/** Tables WITH ('connector' = 'nexmark'). */
public final class EventsFactory implements DynamicTableSourceFactory {
    private static final ConfigOption<Long> EVENTS = ConfigOptions.key("events").longType().noDefaultValue();
    private static final ConfigOption<Long> RATE = ConfigOptions.key("rate").longType().noDefaultValue();

    @Override
    public String factoryIdentifier() {
        return "nexmark";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(EVENTS, RATE);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of();
    }

    @Override
    public DynamicTableSource createDynamicTableSource(Context context) {
        FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
        helper.validate();
        ReadableConfig options = helper.getOptions();
        return new Table(context.getPhysicalRowDataType(), options.get(EVENTS), options.get(RATE), WatermarkStrategy.noWatermarks());
    }

    /** What each of two subtasks makes: every second event, so that both are at the same time. */
    private static final class Table implements ScanTableSource, SupportsWatermarkPushDown {
        private final DataType rows;
        private final long events;
        private final long rate;
        private WatermarkStrategy<RowData> watermarks;

        Table(DataType rows, long events, long rate, WatermarkStrategy<RowData> watermarks) {
            this.rows = rows;
            this.events = events;
            this.rate = rate;
            this.watermarks = watermarks;
        }

        @Override
        public ChangelogMode getChangelogMode() {
            return ChangelogMode.insertOnly();
        }

        @Override
        public ScanRuntimeProvider getScanRuntimeProvider(ScanContext scan) {
            TypeInformation<RowData> type = scan.createTypeInformation(rows);
            Events made = new Events(rate);
            // The source gives the first half of the numbers to one subtask, and the second one to the other.
            long half = (events + 1) / 2;
            DataGeneratorSource<RowData> source = new DataGeneratorSource<>(
                    place -> made.event(place < half ? 2 * place : 2 * (place - half) + 1), events, type);
            WatermarkStrategy<RowData> watermarks = this.watermarks;
            return new DataStreamScanProvider() {
                @Override
                public DataStream<RowData> produceDataStream(ProviderContext context, StreamExecutionEnvironment to) {
                    return to.fromSource(source, watermarks, "events", type);
                }

                @Override
                public boolean isBounded() {
                    return true;
                }
            };
        }

        @Override
        public void applyWatermark(WatermarkStrategy<RowData> strategy) {
            watermarks = strategy;
        }

        @Override
        public DynamicTableSource copy() {
            return new Table(rows, events, rate, watermarks);
        }

        @Override
        public String asSummaryString() {
            return "nexmark";
        }
    }
}

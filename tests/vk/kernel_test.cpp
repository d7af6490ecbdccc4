// Pipelines and their cache on disk.
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>

#include "runtime/vk/pipeline_file.h"
#include "tests/vk/test_kernel.h"

namespace atlas::vk {
namespace {

class KernelTest : public DeviceTest {};

TEST_F(KernelTest, OneKernelPerModuleAndConstants) {
    KernelCache& kernels = device_->kernels();
    const Kernel* a = *kernels.get(scale_add_spec(64, 1));
    const Kernel* b = *kernels.get(scale_add_spec(64, 2));
    EXPECT_NE(a, b);
    EXPECT_EQ(a, *kernels.get(scale_add_spec(64, 1)));
    EXPECT_EQ(kernels.n_built(), 2u);
    EXPECT_EQ(a->name(), "scale_add(64, 1)");
    EXPECT_EQ(b->name(), "scale_add(64, 2)");
    EXPECT_EQ(a->layout(), b->layout());
}

TEST_F(KernelTest, BuildsAllOnSeveralThreads) {
    std::vector<KernelSpec> specs;
    for (uint32_t i = 0; i < 24; ++i) specs.push_back(scale_add_spec(32, 1 + i % 12));  // each twice
    const auto built = device_->kernels().build_all(specs);
    ASSERT_TRUE(built) << built.error().message;
    EXPECT_EQ(device_->kernels().n_built(), 12u);
    for (const auto& spec : specs) EXPECT_TRUE(device_->kernels().get(spec));
    EXPECT_EQ(device_->kernels().n_built(), 12u);
}

TEST_F(KernelTest, TheProgressOfABuildCountsWhatIsMissing) {
    const std::vector<KernelSpec> specs = {scale_add_spec(32, 1), scale_add_spec(32, 2), scale_add_spec(32, 1)};
    std::mutex mutex;
    std::multiset<std::pair<size_t, size_t>> seen;
    const auto progress = [&](size_t done, size_t total) {
        const std::scoped_lock lock(mutex);
        seen.emplace(done, total);
    };
    ASSERT_TRUE(device_->kernels().build_all(specs, progress));
    EXPECT_EQ(seen, (std::multiset<std::pair<size_t, size_t>>{{0, 2}, {1, 2}, {2, 2}}));
    ASSERT_TRUE(device_->kernels().build_all(specs, progress));
    EXPECT_EQ(seen.size(), 3u) << "nothing was missing";
}

class StoppedBuildTest : public KernelTest {
    DeviceOptions options() const override {
        return {.stop_requested = [this] { return device_ && device_->kernels().n_built() >= 3; }};
    }
};

// Regression: Ctrl-C at the first start on a device waited until all kernels were compiled.
TEST_F(StoppedBuildTest, EndsBetweenTwoKernelsAndKeepsThem) {
    std::vector<KernelSpec> specs;
    for (uint32_t i = 0; i < 400; ++i) specs.push_back(scale_add_spec(32, 1 + i));
    const auto built = device_->kernels().build_all(specs);
    ASSERT_FALSE(built);
    EXPECT_EQ(built.error().code, ErrorCode::cancelled);
    EXPECT_GE(device_->kernels().n_built(), 3u);
    EXPECT_LT(device_->kernels().n_built(), specs.size());
}

TEST_F(KernelTest, AnImpossibleSubgroupIsAnErrorWithBothNumbers) {
    KernelSpec spec = scale_add_spec();
    spec.required_subgroup_size = 256;
    const auto kernel = device_->kernels().get(spec);
    ASSERT_FALSE(kernel);
    EXPECT_EQ(kernel.error().code, ErrorCode::unsupported);
    EXPECT_NE(kernel.error().message.find("256"), std::string::npos);
    const auto all = device_->kernels().build_all(std::vector{scale_add_spec(), spec});
    EXPECT_FALSE(all);
}

TEST_F(KernelTest, TheSmallestSubgroupCanBeAskedFor) {
    if (!device_->caps().subgroup_size_control) GTEST_SKIP() << "the device has no subgroup size control";
    KernelSpec spec = scale_add_spec();
    spec.required_subgroup_size = device_->caps().min_subgroup_size;
    EXPECT_TRUE(device_->kernels().get(spec));
}

class PipelineFileTest : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = std::filesystem::path(testing::TempDir()) / "atlas_pipeline_file_test";
        std::filesystem::remove_all(folder_);
        const auto device = open_test_device();
        ASSERT_TRUE(device);
        file_ = pipeline_file(folder_ / "sub", device->caps());
    }
    void TearDown() override {
        std::filesystem::remove_all(folder_);
        EXPECT_EQ(validation_messages(), "");
    }
    std::string contents() const {
        std::ifstream in(file_, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void set_contents(const std::string& text) const {
        std::ofstream(file_, std::ios::binary | std::ios::trunc) << text;
    }

    /// Opens a device with the file, builds a kernel, closes it again. True if the file was taken.
    bool use_file() const {
        auto device = open_test_device({.pipeline_cache = folder_ / "sub"});
        if (!device) return false;
        const bool loaded = device->kernels().loaded();
        EXPECT_TRUE(device->kernels().get(scale_add_spec()));
        return loaded;
    }

    std::filesystem::path folder_, file_;
};

TEST_F(PipelineFileTest, IsWrittenAtTheEndAndReadAtTheStart) {
    EXPECT_FALSE(use_file());
    ASSERT_GT(contents().size(), 56u);
    EXPECT_TRUE(use_file());
    // Nothing is left beside it.
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(file_.parent_path()), {}), 1);
}

TEST_F(PipelineFileTest, DamageIsNoticedAndTheFileWrittenAnew) {
    ASSERT_FALSE(use_file());
    const std::string good = contents();
    std::vector<std::string> damaged = {"", "x", good.substr(0, 20), good.substr(0, good.size() - 1), good + "x"};
    for (const size_t at :
         {size_t{0}, size_t{9}, size_t{13}, size_t{25}, size_t{41}, size_t{50}, size_t{60}, good.size() - 1}) {
        std::string flipped = good;
        flipped[at] = char(flipped[at] ^ 1);
        damaged.push_back(flipped);
    }
    const auto device = open_test_device();
    ASSERT_TRUE(device);
    for (const auto& bytes : damaged) {
        set_contents(bytes);
        EXPECT_FALSE(read_pipeline_file(file_, device->caps()));
    }
    EXPECT_FALSE(use_file());
    EXPECT_TRUE(use_file());
}

TEST_F(PipelineFileTest, BelongsToOneDeviceAndDriver) {
    DeviceCaps caps;
    caps.vendor_id = 1;
    caps.device_id = 2;
    caps.driver_version = 3;
    const std::vector<std::byte> bytes(100, std::byte{5});
    ASSERT_TRUE(write_pipeline_file(file_, caps, bytes));
    EXPECT_EQ(*read_pipeline_file(file_, caps), bytes);
    for (const int field : {0, 1, 2, 3}) {
        DeviceCaps other = caps;
        if (field == 0) other.vendor_id = 9;
        if (field == 1) other.device_id = 9;
        if (field == 2) other.driver_version = 9;
        if (field == 3) other.pipeline_cache_uuid[15] = 9;
        const auto read = read_pipeline_file(file_, other);
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().code, ErrorCode::unsupported);
    }
}

TEST_F(PipelineFileTest, AFolderThatCannotBeWrittenIsAnErrorThatNamesIt) {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ / "sub") << "a file where a folder should be";
    const auto written = write_pipeline_file(folder_ / "sub" / "below" / "x.pipelines", {}, {});
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().message.find("x.pipelines"), std::string::npos);
}

TEST_F(PipelineFileTest, TwoDevicesAndTwoDriversOfOneKeepTheirOwnFiles) {
    DeviceCaps first, second, updated;
    second.device_id = 1;
    updated.pipeline_cache_uuid[0] = 1;
    const std::vector<std::byte> bytes(100, std::byte{5});
    for (const auto* caps : {&first, &second, &updated})
        ASSERT_TRUE(write_pipeline_file(pipeline_file(folder_, *caps), *caps, bytes));
    for (const auto* caps : {&first, &second, &updated})
        EXPECT_EQ(read_pipeline_file(pipeline_file(folder_, *caps), *caps), bytes);
}

TEST_F(PipelineFileTest, TheFileOfAnEarlierVersionMakesRoomForTheFolder) {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ / "sub") << "all devices in one file";
    EXPECT_FALSE(use_file());
    EXPECT_TRUE(use_file());
}

TEST_F(PipelineFileTest, ManyDriverUpdatesLeaveABoundedNumberOfFiles) {
    DeviceCaps caps;
    const std::vector<std::byte> bytes(10, std::byte{5});
    for (uint32_t version = 0; version < 40; ++version) {
        caps.driver_version = version;
        ASSERT_TRUE(write_pipeline_file(pipeline_file(folder_, caps), caps, bytes));
    }
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 16);
    EXPECT_EQ(read_pipeline_file(pipeline_file(folder_, caps), caps), bytes) << "the newest stays";
}

}  // namespace
}  // namespace atlas::vk

// The instance, its messenger, and `atlas-vk devices`.
#include <sys/wait.h>
#include <volk.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/vk/test_kernel.h"

namespace atlas::vk {
namespace {

TEST(Instance, ListsDevicesWithEverythingFilledIn) {
    ASSERT_TRUE(test_instance());
    const auto entries = test_instance()->devices();
    ASSERT_TRUE(entries) << entries.error().message;
    ASSERT_FALSE(entries->empty());
    for (const auto& entry : *entries) {
        EXPECT_FALSE(entry.caps.name.empty());
        EXPECT_FALSE(entry.caps.driver_name.empty());
        if (!entry.rejection.empty()) continue;
        EXPECT_GE(entry.caps.subgroup_size, 1u);
        EXPECT_LE(entry.caps.min_subgroup_size, entry.caps.max_subgroup_size);
        EXPECT_GE(entry.caps.max_storage_buffer_range, uint64_t{128} << 20);
        EXPECT_GE(entry.caps.max_allocation_bytes, uint64_t{1} << 30);
        EXPECT_TRUE(main_heap(entry.caps).found);
        EXPECT_FALSE(entry.caps.memory_types.empty());
    }
    EXPECT_EQ(validation_messages(), "");
}

TEST(Instance, TheMessengerHearsABreachOfTheRules) {
    if (!is_validating()) GTEST_SKIP() << "the validation layer is not installed";
    const auto device = open_test_device();
    ASSERT_TRUE(device);
    VkBufferCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = 0;  // not allowed
    info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
    VkBuffer buffer = VK_NULL_HANDLE;
    if (vkCreateBuffer(device->handle(), &info, nullptr, &buffer) == VK_SUCCESS)
        vkDestroyBuffer(device->handle(), buffer, nullptr);
    EXPECT_NE(validation_messages().find("VUID-VkBufferCreateInfo-size"), std::string::npos);
}

TEST(Instance, ADeviceWithNamesOutlivesTheStartOfABareInstance) {
    if (!is_validating()) GTEST_SKIP() << "the validation layer is not installed";
    const auto device = open_test_device();
    ASSERT_TRUE(device);
    ASSERT_TRUE(Instance::create({}));  // reloads the global function pointers, without those that name objects
    device->set_name(device->handle(), VK_OBJECT_TYPE_DEVICE, "a device");
    ASSERT_TRUE(device->memory().allocate(0, 1024, "a buffer"));
    EXPECT_EQ(validation_messages(), "");
}

struct Ran {
    int exit_code = -1;
    std::string out;
};

Ran run_command(const std::string& command) {
    std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    Ran ran;
    if (!pipe) return ran;
    std::array<char, 4096> buffer;
    for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) ran.out.append(buffer.data(), n);
    const int status = pclose(pipe);
    ran.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ran;
}

Ran run_devices(const std::string& environment, const std::string& flags) {
    return run_command(environment + " " ATLAS_BINARY_DIR "/atlas-vk devices " + flags);
}

/// A driver that can pretend to be a card, so that shaders can be compiled for it.
constexpr const char* kPretendingDriver = "/usr/share/vulkan/icd.d/radeon_icd.json";
std::string pretending_environment() {
    return std::string("RADV_FORCE_FAMILY=navi31 VK_DRIVER_FILES=") + kPretendingDriver;
}

TEST(DevicesCommand, TellsWhichDeviceIsUsed) {
    const Ran ran = run_devices("", "");
    EXPECT_EQ(ran.exit_code, 0) << ran.out;
    EXPECT_NE(ran.out.find("<- used: "), std::string::npos) << ran.out;
}

TEST(DevicesCommand, JsonIsOneDocument) {
    const Ran ran = run_devices("", "--json");
    EXPECT_EQ(ran.exit_code, 0);
    const auto json = nlohmann::json::parse(ran.out, nullptr, false);
    ASSERT_FALSE(json.is_discarded()) << ran.out;
    const auto& used = json["devices"].at(json["used"]["index"].get<size_t>());
    EXPECT_TRUE(used["usable"].get<bool>());
    EXPECT_GT(used["memory"]["budget_bytes"].get<uint64_t>(), 0u);
    EXPECT_LE(used["memory"]["budget_bytes"].get<uint64_t>(), used["memory"]["total_bytes"].get<uint64_t>());
}

TEST(DevicesCommand, NoDriverSaysWhatToInstall) {
    const Ran ran = run_devices("VK_DRIVER_FILES=/nonexistent VK_ICD_FILENAMES=/nonexistent", "");
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_NE(ran.out.find("apt install mesa-vulkan-drivers"), std::string::npos) << ran.out;
}

TEST(DevicesCommand, ADeviceWithoutMemoryIsRejectedNotACrash) {
    if (!std::filesystem::exists(kPretendingDriver)) GTEST_SKIP() << kPretendingDriver << " is not installed";
    const Ran ran = run_devices(pretending_environment(), "");
    if (ran.out.find("Null hardware") == std::string::npos) GTEST_SKIP() << "this driver does not pretend: " << ran.out;
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_NE(ran.out.find("it has no memory"), std::string::npos) << ran.out;
}

// Runs in the process that the next test starts.
TEST(CompileOnly, Child) {
    const auto entries = test_instance()->devices();
    ASSERT_TRUE(entries);
    ASSERT_FALSE(entries->empty());
    if (main_heap(entries->front().caps).found)
        GTEST_SKIP() << "for the process of the next test, which has a device without memory";
    auto device = Device::create(*test_instance(), entries->front(), {.capture_statistics = true});
    ASSERT_TRUE(device) << device.error().message;
    const auto kernel = (*device)->kernels().get(scale_add_spec());
    ASSERT_TRUE(kernel) << kernel.error().message;
    const auto statistics = kernel_statistics(**device, **kernel);
    ASSERT_TRUE(statistics) << statistics.error().message;
    EXPECT_FALSE(statistics->empty());
    const auto memory = (*device)->memory().allocate(0, 100, "x");
    ASSERT_FALSE(memory);
    EXPECT_EQ(memory.error().code, ErrorCode::out_of_memory);
    EXPECT_FALSE((*device)->queue().run_once("nothing", [](VkCommandBuffer) {}));
}

TEST(CompileOnly, ADeviceWithoutMemoryBuildsKernels) {
    if (!std::filesystem::exists(kPretendingDriver)) GTEST_SKIP() << kPretendingDriver << " is not installed";
    const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
    const Ran ran = run_command(pretending_environment() + " " + program + " --gtest_filter=CompileOnly.Child");
    EXPECT_EQ(ran.exit_code, 0) << ran.out;
    EXPECT_NE(ran.out.find("[  PASSED  ] 1 test."), std::string::npos) << ran.out;
    EXPECT_EQ(ran.out.find("SKIPPED"), std::string::npos) << ran.out;
}

TEST(DevicesCommand, AnUnknownFlagIsAUsageError) { EXPECT_EQ(run_devices("", "--nope").exit_code, 2); }

}  // namespace
}  // namespace atlas::vk

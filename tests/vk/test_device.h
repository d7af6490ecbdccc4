#pragma once
// A device for tests, with validation and synchronisation validation enabled. Every test must end without a message.

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "runtime/vk/device.h"
#include "runtime/vk/instance.h"
#include "tests/support/end_of_tests.h"

namespace atlas::vk {

/// One instance for the whole test program: making one takes longer than most tests. Null (with the reason printed) if
/// there is none.
inline const Instance* test_instance() {
    return test::kept_for_all_tests([] {
               auto made = Instance::create({.validation = true, .sync_validation = true});
               if (!made) {
                   std::printf("no validation in this run: %s\n", made.error().message.c_str());
                   made = Instance::create({});
               }
               if (!made) std::printf("%s\n", made.error().message.c_str());
               return std::make_optional(made ? std::make_unique<const Instance>(std::move(*made)) : nullptr);
           })
        .get();
}

inline bool is_validating() { return test_instance() && test_instance()->options().validation; }

/// Opens the device that the user would get. Fails the test if there is none: lavapipe runs everywhere.
inline std::unique_ptr<Device> open_test_device(const DeviceOptions& options = {}) {
    const Instance* instance = test_instance();
    if (!instance) {
        ADD_FAILURE() << "no Vulkan: " << what_to_install();
        return nullptr;
    }
    auto entries = instance->devices();
    if (!entries) {
        ADD_FAILURE() << entries.error().message;
        return nullptr;
    }
    std::vector<DeviceCaps> caps;
    for (const auto& entry : *entries) caps.push_back(entry.caps);
    const auto choice = choose_device(caps, "");
    if (!choice) {
        ADD_FAILURE() << choice.error().message;
        return nullptr;
    }
    auto device = Device::create(*instance, (*entries)[choice->index], options);
    if (!device) ADD_FAILURE() << device.error().message;
    return device ? std::move(*device) : nullptr;
}

/// The validation messages since the last call, one per line.
inline std::string validation_messages() {
    std::string text;
    if (!test_instance()) return text;
    for (const auto& message : test_instance()->messages().take()) text += message.id + ": " + message.text + "\n";
    return text;
}

/// A test with a device; fails if validation reports anything before its end, the device's destruction included.
class DeviceTest : public testing::Test {
  protected:
    void SetUp() override {
        device_ = open_test_device(options());
        if (!device_) GTEST_FAIL() << "no device";
    }
    void TearDown() override {
        device_.reset();
        EXPECT_EQ(validation_messages(), "");
    }
    virtual DeviceOptions options() const { return {}; }

    std::unique_ptr<Device> device_;
};

}  // namespace atlas::vk

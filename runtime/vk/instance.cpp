#include "runtime/vk/instance.h"

#include <volk.h>

#include <algorithm>
#include <cstring>

#include "runtime/vk/debug_utils.h"
#include "runtime/vk/vk_error.h"

namespace atlas::vk {

void MessageLog::add(ValidationMessage message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
}

size_t MessageLog::count() const {
    const std::lock_guard lock(mutex_);
    return messages_.size();
}

std::vector<ValidationMessage> MessageLog::take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(messages_, {});
}

struct Instance::State {
    InstanceOptions options;
    VkInstance handle = nullptr;
    VkDebugUtilsMessengerEXT messenger = VK_NULL_HANDLE;
    DebugUtils debug_utils;
    MessageLog messages;  // the messenger holds its address

    ~State() {
        if (messenger) debug_utils.destroy_messenger(handle, messenger, nullptr);
        if (handle) vkDestroyInstance(handle, nullptr);
    }
};

namespace {

constexpr const char* kValidationLayer = "VK_LAYER_KHRONOS_validation";

VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                          VkDebugUtilsMessageTypeFlagsEXT,
                                          const VkDebugUtilsMessengerCallbackDataEXT* data, void* log) {
    static_cast<MessageLog*>(log)->add({.error = severity >= VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
                                        .id = data->pMessageIdName ? data->pMessageIdName : "",
                                        .text = data->pMessage ? data->pMessage : ""});
    return VK_FALSE;
}

bool has_layer(const char* name) {
    uint32_t count = 0;
    vkEnumerateInstanceLayerProperties(&count, nullptr);
    std::vector<VkLayerProperties> layers(count);
    vkEnumerateInstanceLayerProperties(&count, layers.data());
    return std::any_of(layers.begin(), layers.end(),
                       [&](const auto& layer) { return std::strcmp(layer.layerName, name) == 0; });
}

bool has_extension(const char* name, const char* layer) {
    uint32_t count = 0;
    vkEnumerateInstanceExtensionProperties(layer, &count, nullptr);
    std::vector<VkExtensionProperties> extensions(count);
    vkEnumerateInstanceExtensionProperties(layer, &count, extensions.data());
    return std::any_of(extensions.begin(), extensions.end(),
                       [&](const auto& extension) { return std::strcmp(extension.extensionName, name) == 0; });
}

VkDebugUtilsMessengerCreateInfoEXT messenger_info(MessageLog& log) {
    VkDebugUtilsMessengerCreateInfoEXT info{};
    info.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT;
    info.messageSeverity =
        VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    // Not GENERAL: with it the loader reports on the system's other drivers.
    info.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT;
    info.pfnUserCallback = on_message;
    info.pUserData = &log;
    return info;
}

/// What is chained to the instance to make the layer check more than its default. The structures point at each other.
struct ValidationSettings {
    VkValidationFeatureEnableEXT enable = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    VkValidationFeaturesEXT features{};
#ifdef VK_EXT_layer_settings
    VkBool32 on = VK_TRUE;
    VkLayerSettingEXT shader_accesses{};
    VkLayerSettingsCreateInfoEXT settings{};
#endif

    /// Returns the head of the chain and adds the extensions that it needs.
    const void* link(std::vector<const char*>& extensions) {
        extensions.push_back(VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME);
        features.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT;
        features.enabledValidationFeatureCount = 1;
        features.pEnabledValidationFeatures = &enable;
#ifdef VK_EXT_layer_settings
        // Newer layers check shader accesses to bindings only on request.
        if (has_extension(VK_EXT_LAYER_SETTINGS_EXTENSION_NAME, kValidationLayer)) {
            extensions.push_back(VK_EXT_LAYER_SETTINGS_EXTENSION_NAME);
            shader_accesses = {kValidationLayer, "syncval_shader_accesses_heuristic", VK_LAYER_SETTING_TYPE_BOOL32_EXT,
                               1, &on};
            settings.sType = VK_STRUCTURE_TYPE_LAYER_SETTINGS_CREATE_INFO_EXT;
            settings.settingCount = 1;
            settings.pSettings = &shader_accesses;
            features.pNext = &settings;
        }
#endif
        return &features;
    }
};

Result<uint32_t> loader_version() {
    if (volkInitialize() != VK_SUCCESS) {
        return fail(
            ErrorCode::no_device,
            "the Vulkan loader (libvulkan.so.1) is not installed. On Debian and Ubuntu: `apt install libvulkan1`. {}",
            what_to_install());
    }
    const uint32_t version = volkGetInstanceVersion();
    if (version < VK_API_VERSION_1_2) {
        return fail(ErrorCode::no_device, "the Vulkan loader speaks {}.{}, we need 1.2 or newer: update libvulkan1",
                    VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version));
    }
    return version;
}

}  // namespace

Instance::Instance(std::shared_ptr<State> state) : state_(std::move(state)) {}
Instance::~Instance() = default;
Instance::Instance(Instance&& other) noexcept = default;
Instance& Instance::operator=(Instance&& other) noexcept = default;
VkInstance Instance::handle() const { return state_->handle; }
const InstanceOptions& Instance::options() const { return state_->options; }
const DebugUtils& Instance::debug_utils() const { return state_->debug_utils; }
MessageLog& Instance::messages() const { return state_->messages; }
std::shared_ptr<const void> Instance::share() const { return state_; }

Result<Instance> Instance::create(const InstanceOptions& options) {
    ATLAS_TRY(const uint32_t version, loader_version());
    auto state = std::make_shared<State>();
    state->options = options;
    const bool validate = options.validation || options.sync_validation;
    std::vector<const char*> layers, extensions;
    if (validate) {
        if (!has_layer(kValidationLayer)) {
            return fail(
                ErrorCode::unsupported,
                "validation was asked for, but {} is not installed (Debian and Ubuntu: vulkan-validationlayers)",
                kValidationLayer);
        }
        layers.push_back(kValidationLayer);
    }
    const bool debug_utils = validate || (options.names && has_extension(VK_EXT_DEBUG_UTILS_EXTENSION_NAME, nullptr));
    if (debug_utils) extensions.push_back(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);

    VkInstanceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    VkDebugUtilsMessengerCreateInfoEXT messenger = messenger_info(state->messages);
    ValidationSettings settings;
    if (options.sync_validation) {
        if (!has_extension(VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME, kValidationLayer)) {
            return fail(ErrorCode::unsupported,
                        "the installed validation layer cannot check synchronisation: update it");
        }
        messenger.pNext = settings.link(extensions);
    }
    if (validate) info.pNext = &messenger;
    if (has_extension(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME, nullptr)) {
        extensions.push_back(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);
        info.flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
    }
    VkApplicationInfo application{};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.pApplicationName = "atlas-vk";
    application.apiVersion = std::min<uint32_t>(version, VK_API_VERSION_1_3);
    info.pApplicationInfo = &application;
    info.enabledLayerCount = uint32_t(layers.size());
    info.ppEnabledLayerNames = layers.data();
    info.enabledExtensionCount = uint32_t(extensions.size());
    info.ppEnabledExtensionNames = extensions.data();
    const VkResult result = vkCreateInstance(&info, nullptr, &state->handle);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
        return fail(ErrorCode::no_device, "no Vulkan driver is installed. {}", what_to_install());
    }
    ATLAS_TRY_VOID(check(result, "starting Vulkan"));
    volkLoadInstance(state->handle);
    if (debug_utils) state->debug_utils = DebugUtils::of(state->handle);
    if (validate) {
        messenger.pNext = nullptr;
        ATLAS_TRY_VOID(check(state->debug_utils.create_messenger(state->handle, &messenger, nullptr, &state->messenger),
                             "listening to validation"));
    }
    return Instance(std::move(state));
}

Result<std::vector<DeviceEntry>> Instance::devices() const {
    uint32_t count = 0;
    VkResult result = vkEnumeratePhysicalDevices(state_->handle, &count, nullptr);
    // Some loaders report "no driver" here rather than when the instance is made.
    if (result == VK_ERROR_INITIALIZATION_FAILED || result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return std::vector<DeviceEntry>{};
    ATLAS_TRY_VOID(check(result, "listing the devices"));
    std::vector<VkPhysicalDevice> handles(count);
    result = vkEnumeratePhysicalDevices(state_->handle, &count, handles.data());
    if (result != VK_INCOMPLETE) ATLAS_TRY_VOID(check(result, "listing the devices"));
    handles.resize(count);
    std::vector<DeviceEntry> entries;
    for (VkPhysicalDevice handle : handles) {
        DeviceEntry entry{.handle = handle, .caps = read_caps(state_->handle, handle), .rejection = {}};
        entry.rejection = rejection_of(entry.caps);
        entries.push_back(std::move(entry));
    }
    return entries;
}

}  // namespace atlas::vk

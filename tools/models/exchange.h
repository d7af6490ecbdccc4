#pragma once
// One HTTP request and its answer.

#include <curl/curl.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tools/models/tries.h"

namespace atlas::tools {

/// Redirects are followed, never from an encrypted page to an open one. Proxies are those of the environment
/// (https_proxy, no_proxy), as libcurl reads it.
class Exchange {
  public:
    Exchange(const DownloadOptions& options, const std::string& url, const std::vector<std::string>& headers);
    ~Exchange();
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    void add_header(const std::string& header) { headers_ = curl_slist_append(headers_, header.c_str()); }

    /// Called with the body of a successful answer as it arrives; false ends the exchange. Set it before run().
    std::function<bool(const char* data, size_t bytes)> sink;

    /// Runs it; returns how the network part of it ended.
    Outcome run();

    long status() const;
    std::string final_url() const;  // after redirects; the server's words
    /// Of the last answer; `name` in small letters, one of those in exchange.cpp. Empty: not sent. The server's words.
    std::string header(const std::string& name) const;

  private:
    template <class T>
    void set(CURLoption option, T value) {
        curl_easy_setopt(handle_, option, value);
    }
    Outcome failure(CURLcode code) const;
    Outcome of_status() const;
    static size_t on_body(char* data, size_t size, size_t count, void* self_pointer);
    static size_t on_header(char* data, size_t size, size_t count, void* self_pointer);
    static int on_tick(void* self_pointer, curl_off_t, curl_off_t, curl_off_t, curl_off_t);

    const DownloadOptions& options_;
    CURL* handle_;
    curl_slist* headers_ = nullptr;
    std::vector<std::pair<std::string, std::string>> answer_;
    std::chrono::steady_clock::time_point last_byte_;
    bool stalled_ = false, sink_ended_ = false;
};

}  // namespace atlas::tools

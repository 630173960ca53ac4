# From lines of "round server work µs-per-request requests-per-second": medians, and each server's ratio
# to the one called `base` in the same round. `works` are the kinds of work, in the order to print.

function median(values, count,    i, j, held) {
    for (i = 2; i <= count; i++) {
        held = values[i]
        for (j = i - 1; j > 0 && values[j] > held; j--) values[j + 1] = values[j]
        values[j + 1] = held
    }
    return count % 2 ? values[(count + 1) / 2] : (values[count / 2] + values[count / 2 + 1]) / 2
}

{
    if (!($2 in known)) { known[$2]; servers[++server_count] = $2 }
    rounds = $1
    micros[$2, $3, $1] = $4
    rate[$2, $3, $1] = $5
}

END {
    titles["plain"] = "pass-through with full policy"
    titles["cached"] = "cache hit"
    titles["me"] = "GET /api/v1/auth/me"
    titles["upstream"] = "GET /api/v1/upstreams/{name}"
    work_count = split(works, work_list, " ")
    for (w = 1; w <= work_count; w++) {
        work = work_list[w]
        printf "\n%-30s %12s %10s %12s   %s\n", titles[work], "CPU µs/req", "× " base, "requests/s", "CPU µs/req by round"
        for (s = 1; s <= server_count; s++) {
            if (!((servers[s], work, 1) in micros)) continue
            all = ""
            for (r = 1; r <= rounds; r++) {
                m[r] = micros[servers[s], work, r]
                ratio[r] = m[r] / micros[base, work, r]
                q[r] = rate[servers[s], work, r]
                all = all sprintf(" %6.2f", m[r])
            }
            printf "  %-28s %12.2f %10.2f %12.0f  %s\n", servers[s], median(m, rounds), median(ratio, rounds), median(q, rounds), all
        }
    }
}

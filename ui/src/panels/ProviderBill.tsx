/** A provider's own bill beside what was metered: files of the provider, one amount, or what was imported. */

import { Button, FileInput, Group, Select, Text, TextInput, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { reconcile } from "../api/client";
import type { ReconcileAnswer, Row } from "../api/types";
import { BILLED, type Bill, months, reasonWords, verdict, wishOf } from "../shape/bill";
import { dateIn } from "../view/zone";
import { Choice, Problem } from "./fields";
import { Sheet } from "./Sheet";

const BY = { day: "each day", model: "each model" } as const;

export function ProviderBill() {
  const offered = months(dateIn("UTC", new Date()));
  const [files, setFiles] = useState<File[]>([]);
  const [bill, setBill] = useState<Omit<Bill, "files">>({ month: offered[0]!.value, by: "day", provider: "", amount: "" });
  const set = (change: Partial<Bill>) => setBill({ ...bill, ...change });
  const asked = useMutation({
    mutationFn: async () => reconcile(wishOf({ ...bill, files: await Promise.all(files.map(async (file) => ({ name: file.name, text: await file.text() }))) })),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    asked.mutate();
  };
  return (
    <section className="panel" aria-label="A provider's bill" aria-busy={asked.isPending}>
      <Title order={2} size="h5" mb={4}>
        A provider&apos;s bill
      </Title>
      <Text size="sm" c="dimmed" mb="sm">
        Beside what was metered, in days of UTC, in which providers bill. Choose the bill, and the usage report with it: that tells calls that went past the meter from
        other prices. Nothing of the files is stored. A bill that was imported needs no file.
      </Text>
      <form onSubmit={submit}>
        <Group gap="md" align="end">
          <Select label="Month" data={offered} value={bill.month} allowDeselect={false} onChange={(month) => month && set({ month })} w={170} />
          <FileInput
            label="Files of the provider"
            placeholder="costs and usage, JSON or CSV"
            accept=".json,.jsonl,.ndjson,.csv,.tsv"
            multiple
            clearable
            clearButtonProps={{ "aria-label": "Without files" }}
            value={files}
            onChange={setFiles}
            miw={260}
            maw={420}
          />
          {files.length === 0 && <TextInput label="or its amount, USD" placeholder="1234.56" inputMode="decimal" value={bill.amount} onChange={(event) => set({ amount: event.currentTarget.value })} w={130} />}
          <TextInput label="Provider" placeholder="all with a bill" value={bill.provider} onChange={(event) => set({ provider: event.currentTarget.value })} w={150} />
          <Choice label="A row for" options={BY} value={bill.by} set={(by) => set({ by })} width={140} />
          <Button type="submit" loading={asked.isPending}>
            Compare
          </Button>
        </Group>
      </form>
      <Problem error={asked.error} />
      {asked.data && !asked.error && <Told answer={asked.data} />}
    </section>
  );
}

function Told({ answer }: { answer: ReconcileAnswer }) {
  const { look, words } = verdict(answer);
  return (
    <>
      <Text className={look} fw={600} my="sm" role="status">
        {words}
      </Text>
      {answer.rows.length > 0 && (
        <Sheet
          name="bill"
          names={["provider", answer.by]}
          columns={BILLED}
          rows={answer.rows as unknown as Row[]}
          totals={answer.totals as unknown as Row}
          coverage={{}}
        />
      )}
      {answer.reasons.length > 0 && (
        <>
          <Text size="sm" fw={500} mt="sm">
            What may be behind it
          </Text>
          <ul className="reasons">
            {answer.reasons.map((reason) => (
              <li key={reason.code}>{reasonWords(reason)}</li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

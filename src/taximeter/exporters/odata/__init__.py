"""What the store has as tables that speak OData 4.0: for Excel, Power BI, and whatever else reads that."""

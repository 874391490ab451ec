SELECT category, AVG(final), COUNT(*)
FROM (
    SELECT A.id, A.category, MAX(B.price) AS final
    FROM auction A JOIN bid B ON A.id = B.auction AND B.ts BETWEEN A.ts AND A.expires
    GROUP BY A.id, A.category
)
GROUP BY category
